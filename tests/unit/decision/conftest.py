import asyncio
from collections.abc import Iterator

import pytest

from cerbos_world import CERBOS, POLICIES
from purposegate.decision import ManagedDecider


@pytest.fixture(scope="session")
def shipped() -> Iterator[ManagedDecider]:
    """The shipped policies in a managed Cerbos, one for the whole session: nothing in a test changes it."""
    decider = ManagedDecider(POLICIES, binary=CERBOS, deadline_s=5.0)
    asyncio.run(decider.start())
    yield decider
    asyncio.run(decider.aclose())
