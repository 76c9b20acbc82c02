import json
import os
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledgers import entry
from naive_tree import mth
from purposegate.errors import EntryUnfit, EvidenceMalformed
from purposegate.ledger.entry import (
    MAX_LEAF_BYTES,
    base64url,
    digest,
    digests,
    encode,
    from_base64url,
    read_leaf,
    read_payload,
)
from purposegate.model import Entry, EntryKind
from vector_sets import vectors

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in {"rows", "counts", "_sd", "..."}
)


def written(what: Entry, tokens: tuple[bytes, ...] = ()) -> tuple[bytes, bytes]:
    encoded = encode(what, shard="shard-0", tokens=tokens, random=os.urandom)
    return encoded.leaf, encoded.payload


def test_digests_are_those_of_rfc_9901() -> None:
    """A disclosure's digest is the one printed in RFC 9901 section 4.2.3, for objects and for array elements."""
    cases = vectors("rfc9901/disclosures.json")["vectors"]

    assert [case["digest"] for case in cases] == [
        base64url(digest(from_base64url(case["disclosure"].encode()))).decode() for case in cases
    ]


@given(fields=st.dictionaries(NAMES, VALUES, max_size=5), rows=st.lists(VALUES, max_size=4))
def test_what_is_written_is_read(fields: dict[str, Any], rows: list[Any]) -> None:
    """Whatever JSON an entry carries, the payload gives it back, in order."""
    _, payload = written(entry(1, fields=fields, rows=rows))
    read = read_payload(payload)

    assert (fields, tuple(rows)) == (read.fields, read.rows)


@given(fields=st.dictionaries(NAMES, VALUES, max_size=5), second=st.integers(0, 999_999))
def test_leaf_is_canonical_json(fields: dict[str, Any], second: int) -> None:
    """The leaf's bytes are what RFC 8785 says they must be."""
    leaf, _ = written(entry(second, fields=fields))

    assert rfc8785.dumps(json.loads(leaf)) == leaf


@given(fields=st.dictionaries(NAMES, VALUES, max_size=5), rows=st.lists(VALUES, max_size=4))
def test_leaf_commits_to_every_disclosure(fields: dict[str, Any], rows: list[Any]) -> None:
    """The leaf's digests are exactly those of the payload's disclosures."""
    leaf, payload = written(entry(1, fields=fields, rows=rows), (b"t" * 16,))
    shown = [base64url(digest(each.text)).decode() for each in read_payload(payload).disclosures]

    assert sorted(shown) == list(read_leaf(leaf).digests)


def test_leaf_tells_nothing_of_its_fields() -> None:
    """Two entries with the same fields have no digest in common, and no field's text stands in the leaf."""
    first, _ = written(entry(1))
    second, _ = written(entry(1))

    assert not set(read_leaf(first).digests) & set(read_leaf(second).digests)
    assert b"pc-42" not in first


def test_leaf_is_read_back() -> None:
    """Kind, time, shard, lookup and outcome are in the leaf."""
    leaf = read_leaf(written(entry(5, released=False, kind=EntryKind.REFUSAL))[0])

    assert ("refusal", datetime(2026, 11, 21, 19, 0, 0, 5, tzinfo=UTC), "shard-0", "lookup-5", False) == (
        leaf.kind,
        leaf.at,
        leaf.shard,
        leaf.lookup_id,
        leaf.released,
    )


@given(texts=st.lists(st.binary(max_size=80)))
def test_many_digests_are_the_single_ones(texts: list[bytes]) -> None:
    """The digests made together are those made one by one."""
    assert [base64url(digest(text)).decode() for text in texts] == digests(texts)


def test_times_are_utc_whatever_the_zone() -> None:
    """An entry's time is the same leaf text in any zone."""
    local = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=1)))

    assert b'"t":"2026-07-01T11:00:00.000000Z"' in written(entry(1, at=local))[0]


@given(rows=st.lists(VALUES, min_size=1, max_size=20))
def test_rows_are_one_commitment(rows: list[Any]) -> None:
    """A list's rows are committed to by the RFC 6962 root over their own salted digests."""
    _, payload = written(entry(1, rows=rows))
    texts = payload.partition(b"\n\n")[2].split(b"\n")
    named = {each.name: each.value for each in read_payload(payload).disclosures}

    assert {
        "root": base64url(mth(tuple(digest(text) for text in texts))).decode(),
        "size": len(rows),
    } == named["rows"]


@pytest.mark.parametrize("name", ["rows", "counts", "_sd", "...", "", 7])
def test_reserved_names_are_refused(name: Any) -> None:
    """A field cannot take a name that the format itself uses."""
    with pytest.raises(EntryUnfit):
        written(entry(1, fields={name: 1}))


@pytest.mark.parametrize("value", [object(), b"bytes", {1: "int key"}, "\ud800", 2**70])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    """A value without one JSON spelling is refused by its field's name, without echoing the value."""
    with pytest.raises(EntryUnfit, match="field 'odd'"):
        written(entry(1, fields={"odd": value}))


@pytest.mark.parametrize("lookup_id", ["", "a b", "x" * 129, "caf\u00e9", "line\n"])
def test_odd_lookup_ids_are_refused(lookup_id: str) -> None:
    """A lookup id is printable ASCII, since it stands in the leaf in clear."""
    with pytest.raises(EntryUnfit, match="lookup id"):
        written(entry(1, lookup_id=lookup_id))


def test_naive_times_are_refused() -> None:
    """A time without a zone is refused: nobody could say later when it was."""
    with pytest.raises(EntryUnfit, match="zone"):
        written(entry(1, at=datetime(2026, 1, 1)))  # noqa: DTZ001  # the fault under test


def test_over_long_leaf_is_refused() -> None:
    """An entry whose leaf would not fit a tile's 16 bit length is refused with what to change."""
    with pytest.raises(EntryUnfit, match=f"{MAX_LEAF_BYTES}"):
        written(entry(1, fields={f"field-{number}": number for number in range(1_500)}))


def test_over_long_payload_is_refused() -> None:
    """One entry may not fill the disk."""
    with pytest.raises(EntryUnfit, match="clear text"):
        written(entry(1, fields={"text": "x" * (16 * 1024 * 1024)}))


@pytest.mark.parametrize(
    "change",
    [
        (b'"v":1', b'"v":2'),
        (b'"v":1', b'"v":1.0'),
        (b'"v":1', b' "v":1'),
        (b'"d":"released"', b'"d":"maybe"'),
        (b'"_sd_alg":"sha-256"', b'"_sd_alg":"sha-512"'),
        (b'"v":1}', b'"v":1,"w":1}'),
        (b"000001Z", b"000001+00:00"),
        (b"}", b""),
    ],
)
def test_leaf_has_one_spelling(change: tuple[bytes, bytes]) -> None:
    """A leaf spelt otherwise is not a leaf."""
    leaf, _ = written(entry(1))

    with pytest.raises(EvidenceMalformed):
        read_leaf(leaf.replace(*change))


@given(raw=st.binary(max_size=200))
def test_odd_bytes_are_malformed_and_nothing_else(raw: bytes) -> None:
    """Any bytes are either a leaf and a payload, or malformed: no other error escapes."""
    for read in (read_leaf, read_payload, from_base64url):
        try:
            read(raw)
        except EvidenceMalformed:
            continue


@given(raw=st.binary(max_size=64))
def test_base64url_is_read_back(raw: bytes) -> None:
    """Reading undoes writing."""
    assert raw == from_base64url(base64url(raw))


@pytest.mark.parametrize("text", [b"AA==", b"AB", b"A", b"+/+/", b"A A", b"AA\n"])
def test_base64url_has_one_spelling(text: bytes) -> None:
    """Padding, other alphabets, stray bits and white space are malformed."""
    with pytest.raises(EvidenceMalformed):
        from_base64url(text)
