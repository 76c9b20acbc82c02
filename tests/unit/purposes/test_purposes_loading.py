"""Broken copies of the shipped purposes.yaml: each fault is named by file, line, key and what was expected."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import PolicyError
from purposegate.purposes.catalogue import PurposeCatalogue, load
from purposegate.purposes.loading import DEFAULT_REASON_WORDS

SHIPPED = (Path(__file__).parents[3] / "policies" / "purposes.yaml").read_text(encoding="utf-8")
CRIME = SHIPPED.index("\n      crime:\n")

BROKEN = {
    "a key nobody knows": ('version: "2026.1"', 'version: "2026.1"\nverison: x', "verison", "unknown key"),
    "a missing key": ('version: "2026.1"', "", "(top)", "missing key(s) version"),
    "a number for a version": ('version: "2026.1"', "version: 2026.1", "version", "want string"),
    "a role in capitals": ("  officer: Police", "  Officer: Police", "roles.Officer", "lower-case letters"),
    "an unknown role": (
        "roles: [investigator, officer, paralegal",
        "roles: [investigater, officer, paralegal",
        "purposes.investigate.purposes.crime.roles.0",
        "a role of this file: officer, investigator",
    ),
    "glass broken by a role that may not use the purpose": (
        "break_glass: {roles: [officer, control_room, supervisor], reference: optional}",
        "break_glass: {roles: [officer, psd], reference: optional}",
        "purposes.respond.purposes.incident.break_glass.roles.1",
        "a role of this purpose",
    ),
    "an unknown kind of reference": (
        "kinds: [custody]",
        "kinds: [custody, cusstody]",
        "purposes.custody.purposes.process.reference.kinds.1",
        "a kind of reference of this file",
    ),
    "a reference required of no kind": (
        "reference: {required: true, kinds: [vetting]}",
        "reference: {required: true}",
        "purposes.vet.purposes.employment.reference",
        "`kinds`, because a reference is required",
    ),
    "a purpose that does not say what it opens": (
        "opens: {vehicle: all, person: [name, born, address]}",
        "",
        "purposes.stop.purposes.vehicle",
        "missing key(s) opens",
    ),
    "a kind opened neither whole nor by its fields": (
        "opens: {vehicle: all, person: [name, born, address]}",
        "opens: {vehicle: every, person: [name, born, address]}",
        "purposes.stop.purposes.vehicle.opens.vehicle",
        "all, or a list of columns and mask words",
    ),
    "a declaration that outlives a day": (
        "valid_minutes: 15",
        "valid_minutes: 1441",
        "purposes.stop.purposes.person.valid_minutes",
        "1 to 1440",
    ),
    "a grace without a reference to be assigned to": (
        "valid_minutes: 15",
        "grace_hours: 24",
        "purposes.stop.purposes.person.grace_hours",
        "a required reference",
    ),
    "an approver of no known role": (
        "approvers: [psd]",
        "approvers: [psdd]",
        "purposes.audit.purposes.psd.approvers.0",
        "a role of this file: officer",
    ),
    "a service half allowed": (
        "valid_minutes: 15",
        "service: sometimes",
        "purposes.stop.purposes.person.service",
        "want one of allowed, refused",
    ),
    "a notice half acknowledged": (
        "valid_minutes: 15",
        "acknowledge: yes",
        "purposes.stop.purposes.person.acknowledge",
        "want one of required, optional",
    ),
    "an alias of no vocabulary": (
        "aliases: {mopi: [order], leds: [policing], ncic",
        "aliases: {mopi: [order], leeds: [policing], ncic",
        "purposes.protest.purposes.publicorder.aliases.leeds",
        "a vocabulary of this file: mopi, leds",
    ),
    "an alias to no term": (
        'pnc: ["4"]',
        'pnc: ["44"]',
        "purposes.custody.purposes.process.aliases.pnc.0",
        "a term of the vocabulary pnc: 1, 2",
    ),
    "digits without quotes": (
        'pnc: ["4"]',
        "pnc: [4]",
        "purposes.custody.purposes.process.aliases.pnc.0",
        "want string (a term of the vocabulary; quote digits)",
    ),
    "a pattern with a group": (
        '"CU/[1-9][0-9]{0,6}/[0-9]{2}"',
        '"(CU)/[1-9][0-9]{0,6}/[0-9]{2}"',
        "references.custody.patterns.0",
        "without groups",
    ),
    "a pattern without end": (
        '"CU/[1-9][0-9]{0,6}/[0-9]{2}"',
        '"CU/[1-9]+/[0-9]{2}"',
        "references.custody.patterns.0",
        "without groups, `*`, `+`",
    ),
    "a pattern of many variable parts": (
        '"CU/[1-9][0-9]{0,6}/[0-9]{2}"',
        '"CU/[0-9]{0,9}[0-9]{0,9}[0-9]{0,9}[0-9]?[0-9]{0,9}/[0-9]{2}"',
        "references.custody.patterns.0",
        "at most 4 parts of variable length",
    ),
    "a pattern that is none": (
        '"CU/[1-9][0-9]{0,6}/[0-9]{2}"',
        '"CU/[1-9"',
        "references.custody.patterns.0",
        "a well-formed regular expression",
    ),
    "an example of another form": (
        "example: CU/311/26",
        "example: CU/0311/26",
        "references.custody.example",
        "an example that one of the patterns matches",
    ),
    "two kinds of one form": (
        '"CU/[1-9][0-9]{0,6}/[0-9]{2}"',
        '"C[RU]/[1-9][0-9]{0,6}/[0-9]{2}"',
        "references.case.example",
        "the example also matches custody",
    ),
    "open when down, with no glass to break": (
        "notice: >-\n          For the vetting",
        "when_unavailable: break-glass\n        notice: >-\n          For the vetting",
        "purposes.vet.purposes.employment.when_unavailable",
        "`break_glass` with its roles, or `closed`",
    ),
    "a word that is none of three": (
        "recipient: required",
        "recipient: requird",
        "purposes.disclose.purposes.partner.recipient",
        "want one of required, optional, none",
    ),
    "a justification shorter than a reason": (
        "justify: {words: 8}",
        "justify: {words: 3}",
        "purposes.audit.purposes.psd.justify.words",
        "at least the 4 words",
    ),
    "a notice that says nothing": (
        "notice: >-\n          For the authority named. Reading the evidence is itself a lookup and is logged like any other.",
        "notice: tbc",
        "purposes.audit.purposes.psd.notice",
        "a sentence that tells people",
    ),
    "a leaf without roles": (
        "        roles: [vetting_officer]\n",
        "",
        "purposes.vet.purposes.employment",
        "missing key(s) roles",
    ),
    "a parent that is half a leaf": (
        "  vet:\n    label: Vetting\n",
        "  vet:\n    label: Vetting\n    roles: [officer]\n",
        "purposes.vet.roles",
        "unknown key; known keys: aliases, label, purposes",
    ),
    "a code in capitals": (
        "      employment:\n",
        "      Employment:\n",
        "purposes.vet.purposes.Employment",
        "lower-case letters",
    ),
    "a key said twice": (
        "  vet:\n    label: Vetting\n",
        "  vet:\n    label: Vetting\n    label: Vetted\n",
        "(yaml)",
        "duplicate key",
    ),
    "a boolean among the hollow words": ("  above, admin,", "  above, true,", "hollow_words.", "want string"),
}


@pytest.mark.parametrize(("old", "new", "key", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_copy_is_named(tmp_path: Path, old: str, new: str, key: str, expected: str) -> None:
    """One slip in the shipped file: one finding, with the line that an editor jumps to."""
    start = SHIPPED.index(old, CRIME if old.startswith("roles: [inv") else 0)
    path = tmp_path / "purposes.yaml"
    path.write_text(SHIPPED[:start] + new + SHIPPED[start + len(old) :], encoding="utf-8")

    with pytest.raises(PolicyError) as caught:
        load(path)

    [finding] = caught.value.findings
    assert str(path) == finding.file
    assert key in finding.key
    assert expected in finding.expected
    written = path.read_text(encoding="utf-8").splitlines()
    last = finding.key.rsplit(".", 1)[-1]
    if not last.isdigit() and not last.startswith("("):
        assert last in written[finding.line - 1]


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    """An author mends once: three slips are three findings, in the order of their lines."""
    path = tmp_path / "purposes.yaml"
    text = SHIPPED.replace("example: CU/311/26", "example: CU").replace("kinds: [vetting]", "kinds: [veting]")
    path.write_text(text.replace('pnc: ["4"]', 'pnc: ["44"]'), encoding="utf-8")

    with pytest.raises(PolicyError) as caught:
        load(path)

    assert [
        "references.custody.example",
        "purposes.custody.purposes.process.aliases.pnc.0",
        "purposes.vet.purposes.employment.reference.kinds.0",
    ] == [finding.key for finding in caught.value.findings]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No file, no catalogue, and the file's name."""
    with pytest.raises(PolicyError, match=r"purposes\.yaml:1: \(file\): a readable file"):
        load(tmp_path / "purposes.yaml")


def test_what_is_left_out_is_strict(tmp_path: Path) -> None:
    """The shortest leaf: no glass to break, closed when parts are down, no reference taken, no reason full."""
    path = tmp_path / "purposes.yaml"
    path.write_text(
        'version: "1"\nroles: {officer: Officer}\nreferences: {case: {label: case, patterns: ["C[0-9]"], example: C1}}\n'
        "purposes: {a: {label: A, roles: [officer], reference: {required: false}, reason: {required: true},\n"
        "  opens: {}, notice: For testing what is left out}}\n",
        encoding="utf-8",
    )

    purpose = load(path).purposes["a"]

    assert (False, 0, False, frozenset()) == (
        purpose.must_acknowledge, purpose.grace_s, purpose.service_allowed, purpose.approvers
    )  # fmt: skip
    assert (False, frozenset(), 3600) == (
        purpose.opens_kind("person"),
        purpose.opened("person"),
        purpose.valid_s,
    )

    assert ("closed", frozenset(), ()) == (
        purpose.when_unavailable,
        purpose.break_glass_roles,
        purpose.references,
    )
    assert (DEFAULT_REASON_WORDS, 0) == (purpose.reason_words, purpose.justify_words)
    assert ("a",) == purpose.family


SMALL = """\
version: "1"
roles:
  officer: Officer
vocabularies:
  mopi: {source: Code of Practice, terms: {life: protecting life, "1": stop}}
references:
  case:
    label: case number
    patterns: ["C[0-9]{1,4}", 'D[A-Z]?']
    example: C1
hollow_words: [the, inv]
purposes:
  respond:
    label: Respond
    aliases: {mopi: [life]}
    purposes:
      incident:
        label: Incident
        roles: [officer]
        reference: {required: true, kinds: [case]}
        reason: {required: true, words: 3}
        justify: {words: 6}
        originator: none
        recipient: optional
        when_unavailable: break-glass
        break_glass: {roles: [officer], reference: optional}
        opens: {person: all, case: [title]}
        valid_minutes: 90
        grace_hours: 24
        service: allowed
        approvers: [officer]
        acknowledge: required
        aliases: {mopi: ["1"]}
        notice: >-
          For an incident you are assigned to.
"""
PIECES = (
    "",
    "x: 1",
    "- y",
    "? [a]",
    "? {a: b}",
    "a: &a [*a]",
    "\t",
    '"',
    "{",
    "null",
    "1: 2",
    "~: ~",
    "x: 2026-13-45",
    "[",
)


@given(data=st.data())
def test_any_damage_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Lines cut, put in or changed: the file loads as a catalogue, or every finding points at a line it has."""
    lines = SMALL.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    margin = " " * (len(lines[at]) - len(lines[at].lstrip()))
    put = [margin + data.draw(st.sampled_from(PIECES) | st.text(max_size=20))]
    text = "\n".join([*lines[:at], *put, *lines[at + data.draw(st.integers(0, 3)) :]])
    path = tmp_path_factory.mktemp("damaged") / "purposes.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")

    loaded = _load(path)

    if isinstance(loaded, PolicyError):
        assert loaded.findings
        # Python knows every line end that YAML knows, so it never counts fewer lines.
        assert all(1 <= finding.line <= len(text.splitlines()) + 1 for finding in loaded.findings)


def _load(path: Path) -> PurposeCatalogue | PolicyError:
    try:
        return load(path)
    except PolicyError as error:
        return error


def test_what_is_said_is_kept(tmp_path: Path) -> None:
    """Every key of a leaf that speaks of declarations made ahead, fields, services and approvers comes out as written."""
    path = tmp_path / "purposes.yaml"
    path.write_text(SMALL, encoding="utf-8")

    purpose = load(path).purposes["respond.incident"]

    assert (True, True, False) == tuple(map(purpose.opens_kind, ("person", "case", "vehicle")))
    assert (None, frozenset({"title"}), frozenset()) == tuple(
        map(purpose.opened, ("person", "case", "vehicle"))
    )
    assert (5400, 86_400) == (purpose.valid_s, purpose.grace_s)
    assert (True, True, frozenset({"officer"})) == (
        purpose.service_allowed, purpose.must_acknowledge, purpose.approvers
    )  # fmt: skip
