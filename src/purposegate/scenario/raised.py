"""Which rows of the work list an entry makes: the review room's own answer."""

from purposegate.model import Entry
from purposegate.review.bodies import Body
from purposegate.review.raised import Raised, raised


def rows_of(entry: Entry) -> tuple[Raised, ...]:
    """The rows, the heaviest first; empty where nobody need look."""
    return raised(Body.written(entry))
