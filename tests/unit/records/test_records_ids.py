"""One record has one spelling in a path."""

from urllib.parse import quote

import pytest
from datasette.utils import tilde_encode
from hypothesis import given
from hypothesis import strategies as st

from purposegate.records.ids import CODECS

TILDE = CODECS["tilde"]
PERCENT = CODECS["percent"]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_what_datasette_writes_is_read(record_id: str) -> None:
    """Every id comes back from Datasette's own encoding of it."""
    assert record_id == TILDE(tilde_encode(record_id))


@given(st.text("aZ09-_+~%.,2DdEe ", min_size=1, max_size=12))
def test_only_datasettes_own_spelling_is_an_id(segment: str) -> None:
    """Whatever else Datasette would also decode is no id: reading a segment and writing it again gives the segment."""
    found = TILDE(segment)
    assert found is None or segment == tilde_encode(found)


@pytest.mark.parametrize(
    "segment",
    [
        "rec~2D1",
        "rec~2d1",
        "rec-1,rec-2",
        "rec-1,",
        "rec.1",
        "rec%2D1",
        "~C0~AF",
        "~",
        "~4",
        "~00",
        "a~0Ab",
        "rec 1",
        "",
    ],
)
def test_other_spellings_are_no_tilde_id(segment: str) -> None:
    """Needless encodings, second keys, controls and broken encodings name no record."""
    assert None is TILDE(segment)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
def test_percent_ids_come_back(record_id: str) -> None:
    """Every id comes back from its percent-encoding."""
    assert record_id == PERCENT(quote(record_id, safe=""))
