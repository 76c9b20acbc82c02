"""Ids of lookups: UUIDs that nobody has twice, whatever forks."""

import os
import uuid
from concurrent.futures import ThreadPoolExecutor

from purposegate.ids import fresh_id


def test_ids_are_random_uuids_in_their_usual_form() -> None:
    """RFC 9562: version 4, variant 10."""
    made = [fresh_id() for _ in range(1000)]
    read = [uuid.UUID(one) for one in made]

    assert made == [str(one) for one in read]
    assert {(4, uuid.RFC_4122)} == {(one.version, one.variant) for one in read}


def test_no_id_is_made_twice() -> None:
    """By any thread."""
    with ThreadPoolExecutor(8) as pool:
        made = [
            one for many in pool.map(lambda _: [fresh_id() for _ in range(500)], range(16)) for one in many
        ]

    assert 8000 == len(set(made))


def test_a_forked_worker_makes_ids_of_its_own() -> None:
    """What its parent would hand out next is not handed out by the child."""
    fresh_id()
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, " ".join(fresh_id() for _ in range(40)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = set(os.read(reads, 4096).decode().split())
    os.close(reads)
    os.close(writes)

    assert 40 == len(theirs)
    assert set() == theirs & {fresh_id() for _ in range(80)}
