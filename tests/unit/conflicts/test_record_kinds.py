"""Ties through records of every kind: what a mapping says of each kind is read, and all people in it are compared.

No source names the person by the record's own kind: a vehicle has a keeper, an address nobody, a case has many.
"""

from collections.abc import Mapping as Columns
from pathlib import Path
from typing import Any

import orjson
import pytest
from ruamel.yaml import YAML

from force_files import BROTHER, NOW, OFFICER, SERGEANT, ties_of
from purposegate.conflicts.circle import seen
from purposegate.conflicts.ties import Ties
from purposegate.exchange import Held, Request
from purposegate.model import Row, Tier, Whose
from purposegate.records.mapping import Mapping, load

SURE, MAYBE = Tier.CONFIRMED, Tier.CANDIDATE
HOME = {"number": "number", "street": "street", "locality": "town", "postcode": "postcode"}
WHERE = {"latitude": "lat", "longitude": "lon", "uprn": "uprn"}
ROLES = ("victim", "witness", "suspect", "associate")


def _in_case(role: str) -> dict[str, Any]:
    return {
        "given": f"{role}_given",
        "surname": f"{role}_surname",
        "born": {"column": f"{role}_born", "format": "DD/MM/YYYY"},
        "phones": [f"{role}_phone"],
    }


SUBJECTS: dict[str, list[dict[str, Any]]] = {
    "person": [{"given": "given", "surname": "surname", "born": {"column": "born", "format": "YYYY-MM-DD"}, "address": HOME}],
    "case": [_in_case(role) for role in ROLES],
    "vehicle": [{"given": "keeper_given", "surname": "keeper_surname", "address": HOME, "plates": ["plate"]}],
    "address": [{"address": HOME | WHERE}],
    "phone": [{"surname": "subscriber", "phones": ["msisdn"]}],
    "incident": [{"surname": "reported_by", "address": HOME | WHERE, "phones": ["called_from"]}],
    "operation": [{"given": "target_given", "surname": "target_surname"}, {"surname": "officer_in_charge"}],
}  # fmt: skip


def _names(spec: Any) -> list[str]:
    """Every column that a subject is read from."""
    if isinstance(spec, str):
        return [spec]
    values = spec.values() if isinstance(spec, dict) else spec
    return (
        [spec["column"]]
        if isinstance(spec, dict) and "format" in spec
        else [name for value in values for name in _names(value)]
    )


@pytest.fixture(scope="module")
def mapping(tmp_path_factory: pytest.TempPathFactory) -> Mapping:
    kinds = {
        kind: {
            "id": {"column": "id", "codec": "percent", "pattern": "[A-Z0-9]{1,16}"},
            "columns": ["id", *dict.fromkeys(name for one in subjects for name in _names(one))],
            "subjects": subjects,
        }
        for kind, subjects in SUBJECTS.items()
    }
    routes = [
        {"name": f"{kind}-view", "methods": ["GET"], "path": f"/{kind}/{{id}}", "action": "view", "kind": kind,
         "response": {"format": "json", "rows": "$.rows"}}
        for kind in kinds
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("kinds") / "records.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump({"version": 1, "protected": "/", "kinds": kinds, "routes": routes}, file)
    return load(path)


def _row(mapping: Mapping, kind: str, columns: Columns[str, str]) -> Row:
    """A record of this kind as the gate reads it out of the answer; columns not given stand empty in it."""
    path = f"/{kind}/R1"
    match = mapping.match(
        Request(method="GET", raw_path=path.encode(), path=path, query=b"", headers=(), body=b"")
    )
    if match is None:
        raise AssertionError
    blank = dict.fromkeys(mapping.contents.kinds[kind].columns, "")
    body = orjson.dumps({"rows": [{**blank, "id": "R1", **columns}]})
    (row,) = match.read(Held(status=200, headers=((b"content-type", b"application/json"),), body=body)).rows
    return row


def _words(ties: Ties, row: Row, *, who: str = "E1", whose: Whose = Whose.PRINCIPAL) -> set[tuple[str, Tier]]:
    return {(tie.relation, tie.tier) for tie in ties.of(who, whose, seen(row), at=NOW)}


EX = {
    "id": "r2",
    "principal": "E1",
    "relation": "ex_partner",
    "provenance": "self-declared",
    "names": "Robin|Fell",
    "addresses": "3|High Street||Ashby|AB1 9ZZ",
    "phones": "07700 900123",
    "plates": "AB12 CDE",
}
AT_OFFICERS = {"number": "14", "street": "Mill Lane", "town": "Ashby", "postcode": "AB1 2CD"}
NEXT_DOOR = AT_OFFICERS | {"number": "16"}


@pytest.fixture
def ties(tmp_path: Path) -> Ties:
    homes = f"{OFFICER['homes']}||51.5000|-0.1200|100023336956"
    return ties_of(tmp_path, staff=[{**OFFICER, "homes": homes}, SERGEANT], entries=[BROTHER, EX])


@pytest.mark.parametrize(
    ("kind", "columns", "expected"),
    [
        ("person", {"given": "Edmund", "surname": "Archer", "born": "1981-11-05"}, {("sibling", SURE)}),
        ("person", NEXT_DOOR, {("neighbour", SURE)}),
        ("vehicle", {"plate": "ab12cde"}, {("ex_partner", SURE)}),
        (
            "vehicle",
            {"keeper_given": "Robin", "keeper_surname": "Fell", "number": "3", "street": "High St", "postcode": "AB1 9ZZ"},
            {("ex_partner", SURE)},
        ),
        ("vehicle", {"keeper_surname": "Holt", "plate": "XY99 ZZZ", **AT_OFFICERS}, {("household", SURE)}),
        ("vehicle", {"keeper_surname": "Holt", "plate": "XY99 ZZZ", **NEXT_DOOR}, {("neighbour", SURE)}),
        ("address", AT_OFFICERS, {("household", SURE), ("self", MAYBE)}),
        ("address", NEXT_DOOR, {("neighbour", SURE)}),
        ("address", {"uprn": "100023336956"}, {("household", SURE)}),
        ("address", {"street": "Back Lane", "lat": "51.5002", "lon": "-0.1200"}, {("neighbour", SURE)}),
        ("address", {"street": "Back Lane", "lat": "51.5006", "lon": "-0.1200"}, {("neighbour", MAYBE)}),
        ("address", {"street": "Back Lane", "lat": "51.6", "lon": "-0.1200"}, set()),
        ("phone", {"msisdn": "+44 7700 900123"}, {("ex_partner", MAYBE)}),
        ("phone", {"msisdn": "+44 7700 900123", "subscriber": "Fell"}, {("ex_partner", MAYBE)}),
        ("incident", {"reported_by": "Holt", **NEXT_DOOR}, {("neighbour", SURE)}),
        ("incident", {"called_from": "07700 900123"}, {("ex_partner", MAYBE)}),
        ("operation", {"target_given": "Edmund", "target_surname": "Archer"}, {("sibling", MAYBE)}),
        ("operation", {"officer_in_charge": "Archer"}, set()),
    ],
)  # fmt: skip
def test_a_tie_through_a_record_of_each_kind(
    mapping: Mapping, ties: Ties, kind: str, columns: dict[str, str], expected: set[tuple[str, Tier]]
) -> None:
    """A keeper, a plate, an address with nobody in it, a number, whoever reported something next door."""
    assert expected == _words(ties, _row(mapping, kind, columns))


@pytest.mark.parametrize("role", ROLES)
def test_everybody_in_an_opened_case_is_weighed(mapping: Mapping, ties: Ties, role: str) -> None:
    """Victim, witness, suspect or associate, wherever in the record they stand, among strangers."""
    strangers = {
        f"{other}_{part}": text
        for other in ROLES
        for part, text in {"given": "Quentin", "surname": "Blakeney", "born": "01/06/1950"}.items()
    }
    brother = {f"{role}_given": "Edmund", f"{role}_surname": "Archer", f"{role}_born": "05/11/1981"}

    assert set() == _words(ties, _row(mapping, "case", strangers))
    assert {("sibling", SURE)} == _words(ties, _row(mapping, "case", strangers | brother))


def test_each_person_in_a_case_is_compared_alone(mapping: Mapping, ties: Ties) -> None:
    """One person's name and another's birth and number make no third who is somebody's brother."""
    columns = {
        "victim_given": "Edmund",
        "victim_surname": "Fanshawe",
        "witness_surname": "Archer",
        "suspect_born": "05/11/1981",
    }

    assert set() == _words(ties, _row(mapping, "case", columns))


TIED: dict[str, dict[str, str]] = {
    "person": {"given": "Edmund", "surname": "Archer", "born": "1981-11-05"},
    "case": {"witness_given": "Edmund", "witness_surname": "Archer", "witness_born": "05/11/1981"},
    "vehicle": {"plate": "AB12CDE"},
    "address": NEXT_DOOR,
    "phone": {"msisdn": "07700 900123"},
    "incident": {"reported_by": "Holt", **NEXT_DOOR},
}


@pytest.mark.parametrize("kind", TIED)
@pytest.mark.parametrize("whose", [Whose.ORIGINATOR, Whose.RECIPIENT])
def test_whoever_it_is_asked_for_is_compared_on_every_kind(
    mapping: Mapping, ties: Ties, kind: str, whose: Whose
) -> None:
    """The one who types has no tie; the one who asked them to, or who gets it, has the same as if they typed."""
    row = _row(mapping, kind, TIED[kind])
    found = ties.of("E1", whose, seen(row), at=NOW)

    assert set() == _words(ties, row, who="E2")
    assert _words(ties, row) == {(tie.relation, tie.tier) for tie in found} != set()
    assert {whose} == {tie.whose for tie in found}


def test_another_house_of_the_street_is_nobodys_home(mapping: Mapping, ties: Ties) -> None:
    """An address record with nobody in it is compared as a place: the street alone ties no person to it."""
    row = _row(mapping, "address", AT_OFFICERS | {"number": "90"})

    assert {("neighbour", MAYBE)} == _words(ties, row)  # one postcode unit
    assert set() == _words(ties, _row(mapping, "address", AT_OFFICERS | {"number": "90", "postcode": ""}))
