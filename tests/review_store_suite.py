"""What every store of matters must do. Import the tests into a module that has a fixture `opened`: a new connection each call."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from purposegate.ledger.keys import KeyRing
from purposegate.model import EntryKind
from purposegate.review.docket import Sealing
from purposegate.review.matters import Matter, State
from purposegate.review.store import Row, Store

__all__ = [
    "test_a_claim_is_granted_once",
    "test_a_matter_is_written_once_a_step",
    "test_a_row_opens_under_its_key_alone",
    "test_everything_can_be_forgotten",
    "test_matters_are_found_by_their_parties",
    "test_two_connections_cannot_take_one_step",
    "test_what_lapsed_is_forgotten",
]

Opened = Callable[[], Store]
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
RING = KeyRing(b"i" * 32, {1: b"k" * 32})
SEALING = Sealing(RING)


def matter(number: int = 1, **changes: object) -> Matter:
    """A request that waits."""
    body = {"principal": "E1", "until": (AT + timedelta(hours=1)).isoformat(), "binding": "b"}
    known = Matter(
        id=f"m{number}",
        kind=EntryKind.APPROVAL,
        state=State.WAITING,
        at=AT + timedelta(seconds=number),
        until=AT + timedelta(hours=1),
        step=1,
        body=body,
    )
    return replace(known, **changes)  # type: ignore[arg-type] # fields of a Matter


def row(number: int = 1, **changes: object) -> Row:
    """The same, sealed."""
    return SEALING.seal(matter(number, **changes))


def test_a_matter_is_written_once_a_step(opened: Opened) -> None:
    """A first step only where nothing stands, a second only on the first; and what is read is what was written."""
    store = opened()
    second = row(state=State.APPROVED, step=2)

    assert (True, False, True, False) == (
        store.put(row()),
        store.put(row()),
        store.put(second),
        store.put(second),
    )
    assert not store.put(row(2, step=2))
    assert SEALING.open(store.get("m1")) == matter(state=State.APPROVED, step=2)
    assert store.get("m2") is None


def test_matters_are_found_by_their_parties(opened: Opened) -> None:
    """Newest first, at most so many; and no longer by a party that a later step took away."""
    store = opened()
    for number in (1, 3, 2):
        store.put(row(number))
    waiting = SEALING.token(("waiting", EntryKind.APPROVAL))
    store.put(row(3, state=State.REFUSED, step=2))

    assert ["m2", "m1"] == [one.id for one in store.found(waiting, limit=5)]
    assert ["m2"] == [one.id for one in store.found(waiting, limit=1)]
    assert ["m3", "m2", "m1"] == [
        one.id for one in store.found(SEALING.token(("mine", EntryKind.APPROVAL, "E1")), limit=5)
    ]


def test_a_claim_is_granted_once(opened: Opened) -> None:
    """To the first of all callers, until they give it back; nobody else can give it back."""
    one, two = opened(), opened()

    assert (True, False) == (one.claim("use m1", "l1", 1), two.claim("use m1", "l2", 1))
    two.unclaim("use m1", "l2")
    assert not two.claim("use m1", "l2", 1)
    one.unclaim("use m1", "l1")
    assert two.claim("use m1", "l2", 1)


def test_two_connections_cannot_take_one_step(opened: Opened) -> None:
    """Of many at the same moment one moves a matter, and one is granted a claim."""
    stores = [opened() for _ in range(4)]
    stores[0].put(row())
    moved: list[bool] = []
    claimed: list[bool] = []
    gate = threading.Barrier(len(stores))

    def race(store: Store) -> None:
        gate.wait()
        moved.append(store.put(row(state=State.APPROVED, step=2)))
        claimed.append(store.claim("use m1", str(id(store)), 1))

    threads = [threading.Thread(target=race, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ([True], [True]) == ([one for one in moved if one], [one for one in claimed if one])


def test_what_lapsed_is_forgotten(opened: Opened) -> None:
    """Matters and claims older than a moment go; others stay."""
    store = opened()
    store.put(row(1))
    store.put(row(2, until=AT + timedelta(hours=9)))
    store.claim("use m1", "l1", int(AT.timestamp()))
    store.prune(int((AT + timedelta(hours=2)).timestamp()))

    assert (None, "m2") == (store.get("m1"), getattr(store.get("m2"), "id", None))
    assert ["m2"] == [
        one.id for one in store.found(SEALING.token(("mine", EntryKind.APPROVAL, "E1")), limit=5)
    ]
    assert store.claim("use m1", "l2", 1)


def test_everything_can_be_forgotten(opened: Opened) -> None:
    """Before it is built again."""
    store = opened()
    store.put(row())
    store.claim("use m1", "l1", 1)
    store.clear()

    assert (None, True) == (store.get("m1"), store.claim("use m1", "l2", 1))


@pytest.mark.parametrize(
    "change",
    [{"id": "m9"}, {"step": 2}, {"kind": EntryKind.HAND_OVER.value}, {"kid": 2}, {"sealed": b"x" * 40}],
)
def test_a_row_opens_under_its_key_alone(opened: Opened, change: dict[str, object]) -> None:
    """A body moved to another id, step or kind, or written without the key, is nobody's matter."""
    store = opened()
    forged = row()._replace(**change)  # type: ignore[arg-type] # fields of a Row
    if forged.step == 2:
        store.put(row())
    store.put(forged)

    assert SEALING.open(store.get(forged.id)) is None
