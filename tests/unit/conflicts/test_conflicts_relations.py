"""conflicts.yaml: what it says, and what it may not say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from force_files import POLICIES
from purposegate.conflicts import relations
from purposegate.conflicts.relations import IMPORTABLE
from purposegate.errors import PolicyError

SHIPPED = POLICIES / "conflicts.yaml"
KNOWN_IN_THE_FIELD = {
    "self",
    "spouse_partner",
    "ex_partner",
    "parent",
    "child",
    "sibling",
    "in_law",
    "other_relative",
    "household",
    "neighbour",
    "friend",
    "colleague",
    "ex_colleague",
    "business_interest",
    "creditor_debtor",
    "associate_criminal",
    "journalist",
    "foreign_contact",
    "private_investigator",
    "litigant_opponent",
}


def _altered(tmp_path: Path, alter: Callable[[Any], None]) -> Path:
    yaml = YAML(typ="rt", pure=True)
    content = yaml.load(SHIPPED.read_text(encoding="utf-8"))
    alter(content)
    path = tmp_path / "conflicts.yaml"
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    return path


def _faulty_keys(path: Path) -> list[str]:
    with pytest.raises(PolicyError) as refused:
        relations.load(path)
    return [finding.key for finding in refused.value.findings]


def test_every_relation_known_in_the_field_has_its_word() -> None:
    """Each relation that forces and vetting forms name can be imported by that name."""
    shipped = relations.load(SHIPPED)

    assert set() == {word for word in KNOWN_IN_THE_FIELD if shipped.known_as(word) is None}


def test_inverses_come_in_pairs() -> None:
    """The inverse of a relation's inverse is the relation."""
    by_name = relations.load(SHIPPED).by_name

    assert list(by_name) == [by_name[relation.inverse].inverse for relation in by_name.values()]


def test_provenance_may_change_what_a_relation_does() -> None:
    """A former colleague from the directory flags, one whom somebody declared refuses."""
    former = relations.load(SHIPPED).by_name["ex_colleague"]

    assert ("flag", "refuse") == (former.default("directory"), former.default("self-declared"))


def test_self_does_nothing_but_refuse() -> None:
    """No provenance softens self, under the shipped file."""
    shipped = relations.load(SHIPPED).by_name["self"]

    assert {"refuse"} == {shipped.default(provenance) for provenance in {*IMPORTABLE, "directory"}}


@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        (lambda c: c["relations"]["partner"].update(inverse="spouse"), ["relations.partner.inverse"]),
        (lambda c: c["relations"]["parent"].update(inverse="parent"), ["relations.child.inverse"]),
        (lambda c: c["relations"]["friend"].update(also=["partner"]), ["relations.friend.also.0"]),
        (lambda c: c["relations"]["friend"].update(also=["spouse_partner"]), ["relations.friend.also.0"]),
        (lambda c: c["relations"]["self"].update(does="flag"), ["relations.self.does"]),
        (lambda c: c["relations"]["self"].update(by_provenance={"directory": "flag"}), ["relations.self.does"]),
        (lambda c: c["relations"]["friend"].update(by_provenance={"intelligence": "flag"}), ["relations.friend.by_provenance.intelligence"]),
        (lambda c: c["relations"]["friend"].update(does="ignore"), ["relations.friend.does"]),
        (lambda c: c["relations"].pop("household"), ["relations"]),
        (lambda c: c["matching"].update(candidate_bits=22), ["matching.candidate_bits"]),
        (lambda c: c["matching"]["name"].update(different=3), ["matching.name.different"]),
        (lambda c: c["matching"]["birth"].pop("slip"), ["matching.birth"]),
        (lambda c: c["matching"]["birth"].update(slip=float("nan")), ["matching.birth.slip"]),
        (lambda c: c["neighbours"].update(numbers_within=-1), ["neighbours.numbers_within"]),
        (lambda c: c["compose"].update(depth=9), ["compose.depth"]),
        (lambda c: c["compose"]["steps"]["partner"].update(cousin="in_law"), ["compose.steps.partner.cousin"]),
        (lambda c: c["compose"]["steps"]["partner"].update(friend="pal"), ["compose.steps.partner.friend"]),
        (lambda c: c["compose"]["steps"]["partner"].update(partner="self"), ["compose.steps.partner.partner"]),
        (lambda c: c["compose"]["steps"]["partner"].update(parent="friend"), ["compose.steps.partner.parent", "compose.steps.child.partner"]),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_its_key(
    tmp_path: Path, alter: Callable[[Any], None], expected: list[str]
) -> None:
    """What no relation may be, and what the file must say."""
    assert expected == _faulty_keys(_altered(tmp_path, alter))


def test_a_force_may_add_relations(tmp_path: Path) -> None:
    """The vocabulary is the force's."""

    def add(content: Any) -> None:
        content["relations"]["godchild"] = {"label": "Godchild", "inverse": "godparent", "does": "flag"}
        content["relations"]["godparent"] = {"label": "Godparent", "inverse": "godchild", "does": "flag"}

    assert {"godchild", "godparent"} < relations.load(_altered(tmp_path, add)).names


def test_a_table_of_shares_is_found_beside_the_file(tmp_path: Path) -> None:
    """A path in conflicts.yaml starts at its own directory."""
    (tmp_path / "ours.csv").write_text("part,name,per_million\nsurname,khan,125000\n", encoding="utf-8")
    loaded = relations.load(_altered(tmp_path, lambda content: content["matching"].update(shares="ours.csv")))

    assert 3.0 == loaded.matching.shares.surname_bits("khan")
