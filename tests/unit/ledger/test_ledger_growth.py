from hypothesis import given
from hypothesis import strategies as st

from purposegate.ledger.growth import TILE_WIDTH, Growth, Tile, root_after, tile_root, unfinished
from purposegate.ledger.merkle import Frontier, leaf_hash, root_of

LEAVES = [str(number).encode() for number in range(70_000)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def tiles_of(hashes: list[bytes]) -> list[Tile]:
    """Every full tile, the plain way: cut each level into 256s, and root those for the level above."""
    tiles: list[Tile] = []
    level = 0
    while len(hashes) >= TILE_WIDTH:
        rows = [hashes[at : at + TILE_WIDTH] for at in range(0, len(hashes) - TILE_WIDTH + 1, TILE_WIDTH)]
        tiles += [Tile(level, number, b"".join(row)) for number, row in enumerate(rows)]
        hashes = [root_of(row) for row in rows]
        level += 1
    return tiles


@given(cuts=st.lists(st.integers(0, 900), max_size=6))
def test_grouping_changes_nothing(cuts: list[int]) -> None:
    """Root and tiles are the same however the leaves are grouped."""
    growth, tiles, at = Growth.empty(), list[Tile](), 0
    for take in cuts:
        growth, filled = growth.grown(HASHES[at : at + take])
        tiles += filled
        at += take

    assert root_of(HASHES[:at]) == growth.frontier.root()
    assert tiles_of(HASHES[:at]) == tiles


def test_second_level_fills() -> None:
    """At 65,536 leaves the first tile of the second level is full."""
    _, tiles = Growth.empty().grown(HASHES)

    assert sorted(tiles_of(HASHES)) == sorted(tiles)
    assert [1] == [tile.level for tile in tiles if tile.level]


def test_failed_batch_leaves_nothing() -> None:
    """Growing does not change what it grew from."""
    before, _ = Growth.empty().grown(HASHES[:255])
    before.grown(HASHES[255:600])
    after, tiles = before.grown(HASHES[255:256])

    assert (256, 1) == (after.frontier.size, len(tiles))


@given(size=st.integers(0, 70_000), more=st.integers(0, 600))
def test_growth_is_rebuilt_from_its_tiles(size: int, more: int) -> None:
    """Edges read back from stored hashes and tiles grow on as if nothing had happened."""
    stored = {(tile.level, tile.number): tile.hashes for tile in tiles_of(HASHES[:size])}
    edges = [
        HASHES[first : first + count]
        if level == 0
        else [tile_root(stored[level - 1, number]) for number in range(first, first + count)]
        for level, first, count in unfinished(size)
    ]
    frontier = Frontier()
    for each in HASHES[:size]:
        frontier.append(each)
    _, tiles = Growth(frontier, edges).grown(HASHES[size : size + more])
    wanted = set(tiles_of(HASHES[: size + more])) - set(tiles_of(HASHES[:size]))

    assert wanted == set(tiles)


@given(seen=st.integers(0, 40), more=st.integers(0, 40))
def test_root_after_follows_the_frontier(seen: int, more: int) -> None:
    """The root recomputed from a stored frontier and the leaves' bytes is the whole tree's."""
    frontier = Frontier()
    for each in HASHES[:seen]:
        frontier.append(each)

    assert root_of(HASHES[: seen + more]) == root_after(frontier.to_bytes(), LEAVES[seen : seen + more])
