"""Masks through the whole gate: what policy hides leaves neither as a value nor as the answer to a question about it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gates import Gated, World, behind
from hostile import HostileApp, table_page
from purposegate.gate import Parts
from purposegate.model import Mode, Output, Question, Ruling
from purposegate.protocols import Decider
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio

HIDES_BIRTH = Output("resource.record.vdefault#casework", {"mask": ["born"]})
BORN_IN = "/people/person.json?date_of_birth__startswith=19"


class Masking:
    """The real Cerbos, whose answers to some questions hide birth dates."""

    def __init__(self, real: Decider, hides: Callable[[Question], bool]) -> None:
        self._real, self._hides = real, hides
        self.digest, self.reads_record_ids = real.digest, real.reads_record_ids

    async def decide(self, questions: Sequence[Question], *, lookup_id: str) -> Ruling:
        """Ask, then add what a policy of the force could add."""
        ruling = await self._real.decide(questions, lookup_id=lookup_id)
        pairs = zip(questions, ruling.answers, strict=True)
        answers = tuple(
            replace(answer, outputs=(*answer.outputs, HIDES_BIRTH)) if self._hides(question) else answer
            for question, answer in pairs
        )
        return replace(ruling, answers=answers)


def explained(question: Question) -> bool:
    """True of the suspect's row, which the reference names; false of a search before its answer is known."""
    return bool(question.explained_by)


def unexplained(question: Question) -> bool:
    """True of a search before its answer is known, and of rows that the reference does not name."""
    return not question.explained_by


def always(_: Question) -> bool:
    """True of every question."""
    return True


async def searched(
    world: World, parts: Parts, hides: Callable[[Question], bool], path: str = "/people/person.json"
) -> tuple[Gated, HostileApp, Any]:
    """A search that finds the suspect alone."""
    app = HostileApp(table_page([world.both.records[world.cast.suspect]]))
    decider: Any = Masking(parts.snapshot.decider, hides)
    gated = behind(world, app, parts, decider=decider)
    return gated, app, await gated.ask(path)


@pytest.mark.parametrize("hides", [explained, unexplained, always])
async def test_a_field_is_hidden_by_any_answer_that_hides_it(
    world: World, parts: Parts, hides: Callable[[Question], bool]
) -> None:
    """Law 9: the mask of the search and the mask of the row are united; the entry names what was withheld."""
    row = world.both.records[world.cast.suspect]
    gated, _, answer = await searched(world, parts, hides)

    [[*cells]] = answer.json()["rows"]
    assert (row["surname"], None) == (cells[2], cells[answer.json()["columns"].index("date_of_birth")])
    assert row["date_of_birth"] not in answer.text
    assert row["rec_id"] == gated.entries[-1].rows[0]["id"]


@pytest.mark.parametrize(
    "path",
    [BORN_IN, "/people/person.json?_sort=date_of_birth", "/people/person.json?_sort_desc=date_of_birth"],
)
async def test_a_hidden_field_is_no_criterion(world: World, parts: Parts, path: str) -> None:
    """A mask known before the records system is asked refuses criteria and sort keys on what it covers."""
    gated, app, answer = await searched(world, parts, unexplained, path)

    assert (403, [], [Reason.MASKED_CRITERION]) == (
        answer.status_code,
        app.asked,
        gated.entries[-1].fields["reasons"],
    )


async def test_a_row_whose_mask_covers_a_criterion_is_withheld(world: World, parts: Parts) -> None:
    """Found by a date that it must not tell, the row would tell it by being there."""
    gated, app, answer = await searched(world, parts, explained, BORN_IN)

    assert (200, [], 1) == (answer.status_code, answer.json()["rows"], len(app.asked))
    assert [False] == [row["released"] for row in gated.entries[-1].rows]


@pytest.mark.parametrize("hides", [explained, unexplained, always])
async def test_an_entry_says_what_a_mask_held_back(
    world: World, parts: Parts, hides: Callable[[Question], bool]
) -> None:
    """The policy's word and every column it covers, whichever answer hid them; what is left was released."""
    gated, _, _ = await searched(world, parts, hides)
    [row] = gated.entries[-1].rows

    assert ["born", "date_of_birth"] == row["fields_withheld"]
    assert {"born", "date_of_birth"}.isdisjoint(row["fields_released"])
    assert "surname" in row["fields_released"]


async def test_monitor_mode_says_that_nothing_was_held_back(world: World, parts: Parts) -> None:
    """Law 10: masks are found and not carried out, and the entry does not say otherwise."""
    app = HostileApp(table_page([world.both.records[world.cast.suspect]]))
    decider: Any = Masking(parts.snapshot.decider, always)
    gated = behind(world, app, parts, decider=decider, modes={"default": Mode.MONITOR})
    await gated.ask("/people/person.json")
    [row] = gated.entries[-1].rows

    assert ([], True) == (row["fields_withheld"], "date_of_birth" in row["fields_released"])
