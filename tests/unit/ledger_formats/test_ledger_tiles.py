"""Tiles against a real log, the specification's examples, golang.org/x/mod's paths, and the naive tree."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive_tree
from purposegate.errors import EvidenceMalformed
from purposegate.ledger.checkpoint import SignedCheckpoint
from purposegate.ledger.merkle import (
    HASH_BYTES,
    consistency_proof,
    frontier_at,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from purposegate.ledger.note import LogKey
from purposegate.ledger.tiles import (
    MAX_ENTRY_BYTES,
    TILE_WIDTH,
    Tile,
    build_tiles,
    encode_bundle,
    parse_bundle,
    parse_hashes,
    subtrees_in,
    tiles_for,
)
from vector_sets import VECTORS, vectors

SPEC: dict[str, Any] = vectors("spec_examples.json")
LOG = VECTORS / "tessera" / "testdata" / "log"
LOG_ORIGIN = "example.com/log/testdata"
LOG_KEY = LogKey.parse("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
LOG_SIZE = 15


def read(tile: Tile) -> bytes:
    return (LOG / tile.path).read_bytes()


def root_at(size: int) -> bytes:
    raw = (LOG / f"checkpoint.{size}").read_bytes()
    return SignedCheckpoint.open(raw, LOG_ORIGIN, [LOG_KEY]).checkpoint.root


@pytest.mark.parametrize("size", range(LOG_SIZE + 1))
def test_entries_of_a_real_log_rebuild_its_root(size: int) -> None:
    """The entry bundle of each size hashes to the root that the log signed."""
    entries = parse_bundle(read(Tile(None, 0, size)), size) if size else []

    assert root_at(size) == root_of(map(leaf_hash, entries))


@pytest.mark.parametrize("size", range(LOG_SIZE + 1))
def test_tiles_of_a_real_log_rebuild_its_root(size: int) -> None:
    """The hash tile of each size folds to the root that the log signed."""
    assert root_at(size) == frontier_at(size, subtrees_in(read, size)).root()


@pytest.mark.parametrize("size", range(1, LOG_SIZE + 1))
def test_our_tiles_are_those_of_a_real_log(size: int) -> None:
    """Built from the entries, our files have the names and bytes that another implementation wrote."""
    built = dict(build_tiles(parse_bundle(read(Tile(None, 0, size)), size)))

    assert {tile: read(tile) for tile in tiles_for(size)} == built


def test_proofs_from_a_real_log_lead_to_its_roots() -> None:
    """Proofs made from the log's own tiles verify against the roots it signed."""
    subtree = subtrees_in(read, LOG_SIZE)
    leaves = parse_hashes(read(Tile(0, 0, LOG_SIZE)), LOG_SIZE)
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(index, LOG_SIZE, subtree)
        verify_inclusion(leaf=leaf, index=index, size=LOG_SIZE, proof=proof, root=root_at(LOG_SIZE))
    for size in range(1, LOG_SIZE + 1):
        verify_consistency(
            size1=size,
            root1=root_at(size),
            size2=LOG_SIZE,
            root2=root_at(LOG_SIZE),
            proof=consistency_proof(size, LOG_SIZE, subtree),
        )


@pytest.mark.parametrize(("index", "path"), SPEC["tile_index_path"])
def test_spec_index_path(index: int, path: str) -> None:
    """The specification's index is written as it writes it, and read back."""
    assert f"tile/0/{path}" == Tile(0, index).path
    assert Tile(None, index, 7) == Tile.parse(f"tile/entries/{path}.p/7")


@pytest.mark.parametrize("case", SPEC["tiles_for_size"], ids=lambda case: str(case["size"]))
def test_spec_tile_counts(case: dict[str, Any]) -> None:
    """A tree has the full and partial tiles that the specification counts."""
    tiles = [tile for tile in tiles_for(case["size"]) if tile.level is not None]
    full = Counter(str(tile.level) for tile in tiles if tile.width == TILE_WIDTH)
    partial = {str(tile.level): tile.width for tile in tiles if tile.width < TILE_WIDTH}

    assert (case["full"], case["partial"]) == (dict(full), partial)


@pytest.mark.parametrize("case", vectors("golang-mod/tlog.json")["tile_paths"], ids=lambda case: case["path"])
def test_golang_tile_path(case: dict[str, Any]) -> None:
    """Go's paths are read alike, less the height that C2SP leaves out and with `entries` for `data`."""
    _, _, level, rest = case["path"].split("/", 3)
    path = f"tile/{level.replace('data', 'entries')}/{rest}"
    try:
        tile = Tile.parse(path)
    except EvidenceMalformed:
        assert case["tile"] is None
        return
    height, wanted_level, index, width = case["tile"]
    partial = width != 1 << height

    assert Tile(None if wanted_level < 0 else wanted_level, index, width if partial else TILE_WIDTH) == tile


tiles = st.builds(Tile, st.none() | st.integers(0, 63), st.integers(0, 2**55 - 1), st.integers(1, TILE_WIDTH))


@given(tiles)
def test_tile_path_is_read_as_written(tile: Tile) -> None:
    """Every tile has a path that leads back to it."""
    assert tile == Tile.parse(tile.path)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/1",
        "tile/0/0001",
        "tile/0/x000/001",
        "tile/0/x001",
        "tile/0/001/002",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/",
        "tile/0/001/",
        "/tile/0/001",
        "tile/0/00\N{ARABIC-INDIC DIGIT ONE}",
        "tile/0/001\n",
        "tile/0/../001",
        "tile/data/001",
        "tile/entries/x999/x999/x999/x999/x999/x999/999",
    ],
)
def test_other_tile_paths_are_refused(path: str) -> None:
    """A tile path has one spelling and never leads out of its folder."""
    with pytest.raises(EvidenceMalformed):
        Tile.parse(path)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_bundle_is_read_as_written(entries: list[bytes]) -> None:
    """Entries, empty ones too, survive their bundle."""
    assert entries == parse_bundle(encode_bundle(entries), len(entries))


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=5), st.integers(1, TILE_WIDTH))
def test_bundle_of_another_width_is_refused(entries: list[bytes], width: int) -> None:
    """A bundle with more or fewer entries than its name says is refused."""
    raw = encode_bundle(entries)
    try:
        found = parse_bundle(raw, width)
    except EvidenceMalformed:
        assert width != len(entries)
        return
    assert entries == found


@given(st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=5), st.data())
def test_cut_or_padded_bundle_is_refused(entries: list[bytes], drawn: st.DataObject) -> None:
    """A bundle that ends early or late is refused, not read as far as it goes."""
    raw = encode_bundle(entries)
    cut = raw[: drawn.draw(st.integers(0, len(raw) - 1))]
    padded = raw + drawn.draw(st.binary(min_size=1, max_size=4))

    for wrong in (cut, padded):
        with pytest.raises(EvidenceMalformed):
            parse_bundle(wrong, len(entries))


def test_longest_entry_fits_and_one_more_byte_does_not() -> None:
    """The two length bytes are the limit: 65,535."""
    assert [bytes(MAX_ENTRY_BYTES)] == parse_bundle(encode_bundle([bytes(MAX_ENTRY_BYTES)]), 1)
    with pytest.raises(EvidenceMalformed, match="65535"):
        encode_bundle([bytes(MAX_ENTRY_BYTES + 1)])


@pytest.mark.parametrize("raw", [b"", bytes(31), bytes(33), bytes(64)])
def test_tile_of_another_length_is_refused(raw: bytes) -> None:
    """A tile's bytes are its width in whole hashes."""
    with pytest.raises(EvidenceMalformed):
        parse_hashes(raw, 1)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 513, 1000, 65_536 + 300])
def test_built_tiles_are_all_a_proof_needs(size: int) -> None:
    """The files built are those the size implies, and their roots and proofs are the naive tree's."""
    entries = naive_tree.numbered(size)
    files = dict(build_tiles(entries))
    subtree = subtrees_in(files.__getitem__, size)
    root = root_of(map(leaf_hash, entries))

    assert set(tiles_for(size)) == set(files)
    assert root == frontier_at(size, subtree).root()
    for index in {0, size // 3, size - 1} if size else ():
        proof = inclusion_proof(index, size, subtree)
        verify_inclusion(leaf=leaf_hash(entries[index]), index=index, size=size, proof=proof, root=root)


@given(st.integers(1, 300), st.data())
def test_proof_to_an_older_size_from_newer_tiles(size: int, drawn: st.DataObject) -> None:
    """From the full tiles of a grown log the proofs of its earlier sizes are still made."""
    grown = 600
    files = dict(build_tiles(naive_tree.numbered(grown)))

    def read_widest(tile: Tile) -> bytes:
        (widest,) = (each for each in files if (each.level, each.index) == (tile.level, tile.index))
        return files[widest][: tile.width * HASH_BYTES]

    old = drawn.draw(st.integers(1, size))

    assert naive_tree.proof(old, naive_tree.numbered(size)) == consistency_proof(
        old, size, subtrees_in(read_widest, size)
    )


def test_subtree_that_is_not_full_is_not_given() -> None:
    """A subtree beyond the size has no hash, not a guessed one."""
    files = dict(build_tiles(naive_tree.numbered(5)))

    with pytest.raises(ValueError, match="not full"):
        subtrees_in(files.__getitem__, 5)(1, 2)


@pytest.mark.parametrize(
    ("level", "index", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_tile_that_cannot_be_is_refused(level: int, index: int, width: int) -> None:
    """Levels, indices and widths outside the specification's bounds name no tile."""
    with pytest.raises(EvidenceMalformed):
        Tile(level, index, width)
