"""Writes docs/reasons.md from reasons.py; a test holds the page to it.

Run `python tests/docs_reasons.py` after a change to the reasons.
"""

from collections.abc import Iterator
from pathlib import Path

from purposegate.enforcement.refusal import PREFIX, TITLES, problem
from purposegate.reasons import OUTAGE_TEXT, REFUSED_TEXT, Family, Reason

PAGE = Path(__file__).parents[1] / "docs" / "reasons.md"
LOOKUP_ID = "00000000-0000-4000-8000-000000000000"

HEAD = f"""\
# Reasons

Every reason for which purposegate refuses a lookup, or cannot decide one. The list is closed. This page is written from
`src/purposegate/reasons.py` by `python tests/docs_reasons.py`, and a test fails when the two differ.

- The *reason* stands in the ledger's entry, in `reasons`. An entry can hold several; the first decides the answer.
- The *problem type* is what the person asking receives: `{PREFIX}/problems/<name>`, in an `application/problem+json` body
  (RFC 9457). A known person may open that address to read the same words again.
- *The principal reads* the first wording. *The auditor reads* the second, on this page: entries hold the reason's name.

After a valid declaration there is one refusal. Every reason of the family *policy* has the same status, type, title, text and links, so
that the answer does not tell a tie from a missing assignment. All outages share one type as well. The exact reason is in the ledger alone.

One problem type is no reason: `not-found`, status 404. The records system has no such record, or the address is one of the gate's own and
does not exist. The first leaves an entry of kind `release` with status 404 and no rows, because the person was free to ask.
"""

ABOUT = {
    Family.IDENTITY: """\
Nobody known is asking, or a known person was refused too often. The first two are answered before the pipeline: they are counted, and one
entry a minute says how many there were. What to do: sign in; or wait.""",
    Family.ROUTE: """\
The address is closed, or can be read in two ways. The text is followed by what is wrong with the address, such as the name of the closed
door. What to do: use the record's own page or a search. If the address should be open, its route goes into `records.yaml`.""",
    Family.DECLARATION: """\
The declaration is missing, or cannot stand. The text is followed by what to mend, and `declare` lists the purposes open to this person.
What to do: mend the declaration and ask again.""",
    Family.POLICY: """\
The declaration stands, and the lookup is not permitted. The reasons below cannot be told apart from outside, with one exception: a tie of the
principal is named in `because` when it is `self`, or when the principal declared that tie to the force. What to do: the links offer a corrected
declaration, a hand-over, a supervisor and, where the principal's role allows it under some purpose, break-glass.""",
    Family.OUTAGE: """\
The gate, or something it needs, could not decide. An outage is not a refusal: it says nothing about the person, the purpose or the record.
What to do: [the operator's page](operator.md) has a section for each.""",
}


def page() -> str:
    """The whole page, as it must be."""
    return "\n".join([HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for family in Family:
        yield f"## {TITLES[family]}: {family.value}\n\n{ABOUT[family]}\n"
        if family in (Family.POLICY, Family.OUTAGE):
            yield from _alike(family)
        else:
            yield from _apart(family)


def _apart(family: Family) -> Iterator[str]:
    yield "| reason | status | the principal reads | the auditor reads |\n|---|---|---|---|"
    for reason in _of(family):
        words = reason.wording
        yield f"| `{reason.value}` | {words.status} | {words.principal} | {words.auditor} |"
    yield ""


def _alike(family: Family) -> Iterator[str]:
    text = {Family.POLICY: REFUSED_TEXT, Family.OUTAGE: OUTAGE_TEXT}[family]
    yield f'The principal reads, whichever it is: "{text}" The problem type is `{_type(_of(family)[0])}`.\n'
    yield "| reason | status | the auditor reads |\n|---|---|---|"
    for reason in _of(family):
        yield f"| `{reason.value}` | {reason.wording.status} | {reason.wording.auditor} |"
    yield ""


def _of(family: Family) -> list[Reason]:
    return [reason for reason in Reason if reason.wording.family is family]


def _type(reason: Reason) -> str:
    body = problem(reason, lookup_id=LOOKUP_ID).body.decode()
    return body.partition('"type":"')[2].partition('"')[0]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
