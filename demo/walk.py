"""The lookups of the walk: who asks for what under which declaration, and how each must come out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from demo.force import Cast, People

STATEMENT = "Witness statement for the burglary in Carr Lane"
FULL = "Checking the address on the witness statement again before the interview at two, as asked by the case lead"


class Member(NamedTuple):
    """Somebody's staff id, and the roles that the issuer's token names."""

    id: str
    roles: tuple[str, ...]


NOBODY = Member("", ())
MAYA = Member("T1001", ("Detective",))
CONSTABLE = Member("T1002", ("Constable",))
PRIYA = Member("T1003", ("Constable",))
OWEN = Member("T1004", ("Paralegal",))
HELEN = Member("T1005", ("Sergeant",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One lookup over HTTP and what must come of it. `shows` and `hides` are texts of the released body."""

    title: str
    by: Member
    path: str
    declared: str = ""
    relation: str = "none"
    status: int
    problem: str = ""
    shows: str = ""
    hides: str = ""
    times: int = 1
    because: tuple[str, ...] = ()


def declare(
    purpose: str, ref: str = "", reason: str = STATEMENT, *, originator: str = "", broken: bool = False
) -> str:
    """An `Access-Purpose` field value (RFC 9651)."""
    parts = [purpose]
    parts += [f'ref="{ref}"'] if ref else []
    parts += [f'reason=%"{reason}"'] if reason else []
    parts += [f'originator="{originator}"'] if originator else []
    parts += ["break-glass"] if broken else []
    return ";".join(parts)


def steps(both: People, cast: Cast) -> Iterator[Step]:
    """The walk, in order; Cerbos is killed after it, by its own step."""

    def page(number: str, form: str = ".json") -> str:
        return f"/people/person/{both.record_id(number)}{form}"

    def of(number: str) -> str:
        return both.record_id(number)

    mine = declare("investigate.crime", "CR/1042/26")
    surname = both.records[cast.neighbour]["surname"]
    suspect = both.records[cast.suspect]["surname"]

    yield Step(
        title="proper view", path=page(cast.suspect), declared=mine, status=200, shows=suspect, by=MAYA
    )
    yield Step(
        title="the same page in HTML",
        path=page(cast.suspect, ""),
        declared=mine,
        status=200,
        shows=suspect,
        by=MAYA,
    )
    yield Step(title="proper search", path=f"/people/person.json?_search={suspect}", declared=mine, status=200,
               shows=of(cast.suspect), by=MAYA)  # fmt: skip
    yield Step(title="nobody known", by=NOBODY, path=page(cast.suspect), declared=mine, status=401,
               problem="identity-missing")  # fmt: skip
    yield Step(title="no purpose", path=page(cast.suspect), status=428, problem="purpose-missing", by=MAYA)
    yield Step(title="unknown purpose", path=page(cast.suspect), declared=declare("curiosity.idle"), status=400,
               problem="purpose-unknown", by=MAYA)  # fmt: skip
    yield Step(title="no reference", path=page(cast.suspect), declared=declare("investigate.crime"), status=400,
               problem="reference-missing", by=MAYA)  # fmt: skip
    yield Step(title="junk reason", path=page(cast.suspect),
               declared=declare("investigate.crime", "CR/1042/26", "asdf asdf"), status=400,
               problem="reason-poor", by=MAYA)  # fmt: skip
    yield Step(title="a case that is not on file", path=page(cast.suspect), declared=declare("investigate.crime", "CR/4711/26"),
               status=403, problem="refused", by=MAYA)  # fmt: skip
    yield Step(title="a case closed weeks ago", path=page(cast.suspect), declared=declare("investigate.crime", "CR/917/25"),
               status=403, problem="refused", by=MAYA)  # fmt: skip
    yield Step(title="oneself", path=page(cast.officer_themself), declared=mine, relation="self", status=403,
               problem="refused", because=("self",), by=CONSTABLE)  # fmt: skip
    yield Step(title="a relative, known from vetting", path=page(cast.relative), declared=mine, relation="relative",
               status=403, problem="refused", by=MAYA)  # fmt: skip
    yield Step(title="a relative of the originator", path=page(cast.relative),
               declared=declare("investigate.crime", "CR/1042/26", originator="T1001"), relation="relative (originator)",
               status=403, problem="refused", by=PRIYA)  # fmt: skip
    yield Step(title="a neighbour", path=page(cast.neighbour), declared=mine, relation="neighbour", status=403,
               problem="refused", by=PRIYA)  # fmt: skip
    yield Step(title="a neighbour, by search", path=f"/people/person.json?surname={surname}", declared=mine,
               relation="neighbour", status=200, hides=of(cast.neighbour), by=PRIYA)  # fmt: skip
    yield Step(title="the same search, a colleague", path=f"/people/person.json?surname={surname}", declared=mine,
               status=200, shows=of(cast.neighbour), by=MAYA)  # fmt: skip
    yield Step(title="the database as a file", path="/people.db", declared=mine, status=403,
               problem="route-forbidden", by=MAYA)  # fmt: skip
    yield Step(title="raw SQL", path="/people.json?sql=select+*+from+person", declared=mine, status=403,
               problem="route-forbidden", by=MAYA)  # fmt: skip
    yield Step(title="counting by facets", path="/people/person.json?_facet=surname", declared=mine, status=403,
               problem="route-forbidden", by=MAYA)  # fmt: skip
    yield Step(title="an unmapped door", path="/people/person/-/insert", declared=mine, status=403,
               problem="route", by=MAYA)  # fmt: skip
    yield Step(title="three views that nothing explains", path=page(cast.curiosity),
               declared=declare("prosecute.casefile", "CR/1042/26", FULL), status=200, times=3, by=OWEN)  # fmt: skip
    yield Step(title="the fourth view of that record", path=page(cast.curiosity),
               declared=declare("prosecute.casefile", "CR/1042/26", FULL), status=403, problem="refused", by=OWEN)  # fmt: skip
    yield Step(title="off duty, no incident of hers", path=page(cast.missing),
               declared=declare("respond.missing", "INC/9999/26", "Missing teenager last seen at the bus station"),
               status=403, problem="refused", by=HELEN)  # fmt: skip
    yield Step(title="break-glass: a threat to life", path=page(cast.missing),
               declared=declare("respond.missing", reason="Missing teenager threatens to jump, on the phone now", broken=True),
               status=200, shows=of(cast.missing), by=HELEN)  # fmt: skip
    yield Step(title="break-glass on her own partner", path=page(cast.partner_of_sergeant), relation="partner",
               declared=declare("respond.missing", reason="Missing teenager threatens to jump, on the phone now", broken=True),
               status=403, problem="refused", because=("partner",), by=HELEN)  # fmt: skip
