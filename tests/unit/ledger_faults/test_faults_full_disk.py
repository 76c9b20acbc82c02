"""The disk really fills up, or turns read-only: lookups are refused in time, nothing is lost, and work resumes by itself."""

from typing import Any

import pytest

from fault_disk import SCENARIOS, namespace, run

Seen = dict[str, Any]


class Stories:
    """What each scenario saw, told once: on a small disk of its own where this machine mounts one, else with short files."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self.space = namespace(folders.mktemp("probe"))
        self._told: dict[tuple[str, tuple[str, ...]], Seen] = {}

    def tell(self, scenario: str, *, short_files: bool = False) -> Seen:
        """The scenario's story."""
        key = (scenario, () if short_files else self.space)
        if key not in self._told:
            self._told[key] = run(scenario, self._folders.mktemp(scenario), key[1])
        return self._told[key]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Stories:
    return Stories(tmp_path_factory)


@pytest.mark.parametrize("short_files", [False, True], ids=["small disk", "short files"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_full_or_locked_disk_costs_nothing(stories: Stories, scenario: str, short_files: bool) -> None:
    """Each promise stands, each refusal is accounted for truly, verify says intact, before and after there is room again.

    On a real small disk where this machine mounts one, and everywhere with a limit on the length of files.
    """
    seen = stories.tell(scenario, short_files=short_files)

    assert [] == seen["wrong"]
    assert {0} >= {verdict for name, verdict in seen.items() if name.startswith("verdict")}
    assert ("genesis", "release") == (seen["told"][0], seen["told"][-1])


@pytest.mark.parametrize("scenario", ["slowly", "at_once"])
def test_closing_entry_is_written_in_time(stories: Stories, scenario: str) -> None:
    """Before the disk is full the ledger says so, refuses, and says when there is room again, with what it refused."""
    seen, space = stories.tell(scenario), stories.space
    told = (
        ["disk-full", "disk-has-room"] if space else ["commit-unknown"]
    )  # a limit on files says nothing beforehand

    assert ["genesis", "release", *told, "release"] == seen["told"]
    assert ("full" if space else "down") == seen["state"]
    assert {"nearly full" in why for why in seen["refused"]} == {bool(space)}


def test_ledger_is_not_begun_on_a_full_disk(stories: Stories) -> None:
    """Without room no ledger is begun, with or without a margin; what was tried does not stand in the way later."""
    seen = stories.tell("at_birth")

    assert ("LedgerOutage", ["genesis", "release"]) == (seen["refused_at_birth"], seen["told"])


def test_read_only_folder_is_named(stories: Stories) -> None:
    """In a read-only folder opening and making are outages that name the file, nothing changes, and verify still reads."""
    seen = stories.tell("locked_while_closed")

    assert ["LedgerOutage: True"] * 2 == seen["refused_locked"]
    assert (True, 0) == (seen["unchanged"], seen["verdict_while_locked"])


def test_head_that_cannot_be_remembered_is_told(stories: Stories) -> None:
    """Where the signer cannot remember, heads stay unsigned and the ledger says so; it signs again when it can."""
    seen = stories.tell("locked_while_serving")

    assert "could not be signed" in seen["fault"]
