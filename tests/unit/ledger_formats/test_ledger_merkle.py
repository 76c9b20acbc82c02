"""The Merkle tree against other people's probes, a naive tree, and forgeries."""

from base64 import b64decode
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive_tree
from purposegate.errors import EvidenceMalformed, ProofFailed
from purposegate.ledger.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    MAX_SIZE,
    Frontier,
    consistency_proof,
    frontier_at,
    full_subtrees,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from vector_sets import VECTORS, vectors

MAX_TRIED = 300
ENTRIES = naive_tree.numbered(MAX_TRIED)
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
SUBTREES: dict[tuple[int, int], bytes] = {}
ROOTS = [EMPTY_ROOT]
_frontier = Frontier()
for _leaf in LEAVES:
    _frontier.append(_leaf, lambda level, index, node: SUBTREES.__setitem__((level, index), node))
    ROOTS.append(_frontier.root())

PROBES = VECTORS / "merkle" / "testdata"
INCLUSION = sorted((PROBES / "inclusion").rglob("*.json"))
CONSISTENCY = sorted((PROBES / "consistency").rglob("*.json"))

sizes = st.integers(1, MAX_TRIED)


def subtree(level: int, index: int) -> bytes:
    return SUBTREES[level, index]


def probe_id(path: Path) -> str:
    return str(path.relative_to(PROBES))


def decoded(encoded: list[str] | None) -> list[bytes]:
    return [b64decode(each) for each in encoded or []]


def fails(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except ProofFailed:
        return True
    return False


def test_all_probes_are_at_hand() -> None:
    """The probes of transparency-dev/merkle are complete, so none passes by not being there."""
    assert (98, 98) == (len(INCLUSION), len(CONSISTENCY))


@pytest.mark.parametrize("path", INCLUSION, ids=probe_id)
def test_inclusion_probe(path: Path) -> None:
    """An inclusion proof is accepted or refused as its author says; the file name is the mutation."""
    probe: dict[str, Any] = vectors(str(path))

    refused = fails(
        lambda: verify_inclusion(
            leaf=b64decode(probe["leafHash"] or ""),
            index=probe["leafIdx"],
            size=probe["treeSize"],
            proof=decoded(probe["proof"]),
            root=b64decode(probe["root"] or ""),
        )
    )

    assert probe["wantErr"] == refused


@pytest.mark.parametrize("path", CONSISTENCY, ids=probe_id)
def test_consistency_probe(path: Path) -> None:
    """A consistency proof is accepted or refused as its author says; the file name is the mutation."""
    probe: dict[str, Any] = vectors(str(path))

    refused = fails(
        lambda: verify_consistency(
            size1=probe["size1"],
            root1=b64decode(probe["root1"] or ""),
            size2=probe["size2"],
            root2=b64decode(probe["root2"] or ""),
            proof=decoded(probe["proof"]),
        )
    )

    assert probe["wantErr"] == refused


def test_known_answers_of_the_hasher() -> None:
    """Leaf, node and empty root give the hashes that other implementations give."""
    answers: dict[str, Callable[[Any], bytes]] = {
        "empty_root": lambda _: EMPTY_ROOT,
        "leaf": lambda given: leaf_hash(given.encode()),
        "node": lambda given: node_hash(*(each.encode() for each in given)),
    }
    cases = vectors("merkle/reference_tree.json")["hasher"]

    assert [case["want"] for case in cases] == [answers[case["op"]](case.get("in")).hex() for case in cases]


def test_reference_tree_roots() -> None:
    """The roots of the eight reference leaves, at every size from none to eight."""
    reference = vectors("merkle/reference_tree.json")
    leaves = [leaf_hash(bytes.fromhex(each)) for each in reference["leaf_inputs_hex"]]

    assert reference["root_hashes_hex_by_size"] == [root_of(leaves[:size]).hex() for size in range(9)]


def test_reference_tree_nodes() -> None:
    """An append names every full subtree that it completes, with the reference's hashes."""
    reference = vectors("merkle/reference_tree.json")
    nodes: list[tuple[int, int, str]] = []
    frontier = Frontier()
    for each in reference["leaf_inputs_hex"]:
        frontier.append(
            leaf_hash(bytes.fromhex(each)), lambda *node: nodes.append((node[0], node[1], node[2].hex()))
        )

    assert reference["node_hashes_hex_flat"] == [node for _, _, node in sorted(nodes)]


def test_roots_agree_with_the_naive_tree() -> None:
    """Every size from 0 to 300 has the root that RFC 6962 read word for word gives."""
    assert [naive_tree.mth(ENTRIES[:size]) for size in range(MAX_TRIED + 1)] == ROOTS


def test_inclusion_proofs_agree_with_the_naive_tree() -> None:
    """For every leaf of every size up to 300 our proof is the RFC's PATH, and verifies."""
    for size in range(1, MAX_TRIED + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, subtree)
            assert naive_tree.path(index, ENTRIES[:size]) == proof
            verify_inclusion(leaf=LEAVES[index], index=index, size=size, proof=proof, root=ROOTS[size])


def test_consistency_proofs_agree_with_the_naive_tree() -> None:
    """For every pair of sizes up to 300 our proof is the RFC's PROOF, and verifies."""
    for size2 in range(1, MAX_TRIED + 1):
        for size1 in range(1, size2 + 1):
            proof = consistency_proof(size1, size2, subtree)
            assert naive_tree.proof(size1, ENTRIES[:size2]) == proof
            verify_consistency(size1=size1, root1=ROOTS[size1], size2=size2, root2=ROOTS[size2], proof=proof)


def forgeries(proof: list[bytes], draw: st.DrawFn) -> list[bytes]:
    """A proof that differs from `proof`: a bit, an order, a length."""
    kinds = ["longer", "other-length-hash"]
    if proof:
        kinds += ["bit", "shorter", "repeated"]
    if len(proof) > 1:
        kinds.append("swapped")
    at = draw(st.integers(0, max(len(proof) - 1, 0)))
    match draw(st.sampled_from(kinds)):
        case "bit":
            bit = draw(st.integers(0, 8 * HASH_BYTES - 1))
            flipped = int.from_bytes(proof[at], "big") ^ (1 << bit)
            return [*proof[:at], flipped.to_bytes(HASH_BYTES, "big"), *proof[at + 1 :]]
        case "shorter":
            return [*proof[:at], *proof[at + 1 :]]
        case "repeated":
            return [*proof[:at], proof[at], *proof[at:]]
        case "swapped":
            other = draw(st.integers(0, len(proof) - 1).filter(lambda each: each != at))
            forged = list(proof)
            forged[at], forged[other] = proof[other], proof[at]
            return forged
        case "longer":
            return [*proof[:at], draw(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES)), *proof[at:]]
        case _:
            return [*proof, draw(st.binary(max_size=40).filter(lambda raw: len(raw) != HASH_BYTES))]


@given(st.data(), sizes)
def test_forged_inclusion_proof_fails(drawn: st.DataObject, size: int) -> None:
    """No altered, reordered, shortened or lengthened inclusion proof verifies."""
    index = drawn.draw(st.integers(0, size - 1))
    forged = drawn.draw(st.composite(lambda draw: forgeries(inclusion_proof(index, size, subtree), draw))())

    with pytest.raises(ProofFailed):
        verify_inclusion(leaf=LEAVES[index], index=index, size=size, proof=forged, root=ROOTS[size])


@given(st.data(), sizes)
def test_inclusion_proof_holds_for_its_own_leaf_only(drawn: st.DataObject, size: int) -> None:
    """A proof says nothing of another leaf, nor of its own leaf at another index."""
    index, other = drawn.draw(
        st.tuples(st.integers(0, size - 1), st.integers(-1, size)).filter(lambda p: p[0] != p[1])
    )
    proof = inclusion_proof(index, size, subtree)

    assert fails(
        lambda: verify_inclusion(leaf=LEAVES[index], index=other, size=size, proof=proof, root=ROOTS[size])
    )
    assert fails(
        lambda: verify_inclusion(
            leaf=leaf_hash(b"another entry"), index=index, size=size, proof=proof, root=ROOTS[size]
        )
    )


@given(st.data(), sizes)
def test_forged_consistency_proof_fails(drawn: st.DataObject, size2: int) -> None:
    """No altered, reordered, shortened or lengthened consistency proof verifies."""
    size1 = drawn.draw(st.integers(1, size2))
    honest = consistency_proof(size1, size2, subtree)
    forged = drawn.draw(st.composite(lambda draw: forgeries(honest, draw))())

    with pytest.raises(ProofFailed):
        verify_consistency(size1=size1, root1=ROOTS[size1], size2=size2, root2=ROOTS[size2], proof=forged)


@given(st.data(), sizes)
def test_consistency_proof_holds_for_its_own_roots_only(drawn: st.DataObject, size2: int) -> None:
    """A rewritten past, or a rewritten present, does not verify with the honest proof."""
    size1 = drawn.draw(st.integers(1, size2))
    proof = consistency_proof(size1, size2, subtree)
    other = leaf_hash(b"another tree")

    assert fails(
        lambda: verify_consistency(size1=size1, root1=other, size2=size2, root2=ROOTS[size2], proof=proof)
    )
    assert fails(
        lambda: verify_consistency(size1=size1, root1=ROOTS[size1], size2=size2, root2=other, proof=proof)
    )


@given(st.integers(1, 40), st.data())
def test_rewritten_entry_breaks_every_proof_over_it(size1: int, drawn: st.DataObject) -> None:
    """Change one old entry, honestly rebuild everything after it, and no proof leads from the old root."""
    size2 = drawn.draw(st.integers(size1, 60))
    at = drawn.draw(st.integers(0, size1 - 1))
    rewritten = list(ENTRIES[:size2])
    rewritten[at] += b"!"
    nodes: dict[tuple[int, int], bytes] = {}
    frontier = Frontier()
    for entry in rewritten:
        frontier.append(leaf_hash(entry), lambda level, index, node: nodes.__setitem__((level, index), node))
    proof = consistency_proof(size1, size2, lambda level, index: nodes[level, index])

    with pytest.raises(ProofFailed):
        verify_consistency(size1=size1, root1=ROOTS[size1], size2=size2, root2=frontier.root(), proof=proof)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_hash_of_another_length_is_named(length: int) -> None:
    """Bytes moved over the seam between two hashes give the same node: so every hash has its length."""
    odd = bytes(length)

    with pytest.raises(ProofFailed, match="32 bytes"):
        verify_inclusion(leaf=odd, index=0, size=1, proof=[], root=odd)
    with pytest.raises(ProofFailed, match="32 bytes"):
        verify_inclusion(leaf=LEAVES[0], index=0, size=2, proof=[odd], root=ROOTS[2])
    with pytest.raises(ProofFailed, match="32 bytes"):
        verify_consistency(size1=1, root1=ROOTS[1], size2=2, root2=ROOTS[2], proof=[odd])


@pytest.mark.parametrize(("size1", "size2"), [(0, 0), (0, 5), (-1, 5), (6, 5), (5, MAX_SIZE + 1)])
def test_consistency_needs_sizes_in_order(size1: int, size2: int) -> None:
    """0 < size1 <= size2 or there is no proof to make and none to believe."""
    with pytest.raises(ValueError, match="size1"):
        consistency_proof(size1, size2, subtree)
    with pytest.raises(ProofFailed):
        verify_consistency(size1=size1, root1=EMPTY_ROOT, size2=size2, root2=EMPTY_ROOT, proof=[])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 5), (5, 5), (0, MAX_SIZE + 1)])
def test_inclusion_needs_an_index_inside(index: int, size: int) -> None:
    """0 <= index < size or there is no proof to make and none to believe."""
    with pytest.raises(ValueError, match="index"):
        inclusion_proof(index, size, subtree)
    with pytest.raises(ProofFailed):
        verify_inclusion(leaf=LEAVES[0], index=index, size=size, proof=[], root=LEAVES[0])


def test_proof_without_its_subtree_is_not_made() -> None:
    """A store that has lost a subtree makes the proof fail, never a shorter proof."""
    with pytest.raises(KeyError):
        inclusion_proof(0, MAX_TRIED + 212, subtree)


@given(st.integers(0, MAX_TRIED))
def test_frontier_survives_its_bytes(size: int) -> None:
    """A frontier written and read again has the same size and root, and goes on in the same way."""
    read = Frontier.from_bytes(frontier_at(size, subtree).to_bytes())
    for leaf in LEAVES[size : size + 3]:
        read.append(leaf)

    assert ROOTS[read.size] == read.root()
    assert min(size + 3, MAX_TRIED) == read.size


@given(st.binary(max_size=8 + 3 * HASH_BYTES))
def test_frontier_has_one_spelling(raw: bytes) -> None:
    """Bytes that a frontier reads are the bytes that it writes; all others are refused."""
    try:
        frontier = Frontier.from_bytes(raw)
    except EvidenceMalformed:
        return
    assert raw == frontier.to_bytes()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(7),
        bytes(9),
        bytes(7) + b"\x01",
        bytes(7) + b"\x01" + bytes(33),
        b"\xff" * 8 + bytes(64 * 32),
    ],
    ids=["nothing", "short", "trailing", "no-hash", "long-hash", "size-over-int64"],
)
def test_malformed_frontier_is_refused(raw: bytes) -> None:
    """A frontier with a byte too many, too few, or a size no log can have is not read."""
    with pytest.raises(EvidenceMalformed):
        Frontier.from_bytes(raw)


def test_frontier_copy_stands_alone() -> None:
    """Appending to a copy leaves the frontier in use as it was."""
    frontier = frontier_at(7, subtree)
    frontier.copy().append(LEAVES[7])

    assert (7, ROOTS[7]) == (frontier.size, frontier.root())


def test_frontier_refuses_other_than_hashes() -> None:
    """An entry offered as its own hash is refused, so that no tree mixes the two."""
    with pytest.raises(EvidenceMalformed):
        Frontier().append(b"an entry, not a hash")


def test_full_tree_takes_no_more() -> None:
    """A size past int64 could not be written into a head."""
    full = Frontier.from_bytes(MAX_SIZE.to_bytes(8, "big") + bytes(63 * HASH_BYTES))

    with pytest.raises(EvidenceMalformed, match="full"):
        full.append(LEAVES[0])
    assert MAX_SIZE == full.size


def test_frontiers_are_equal_by_what_they_hold() -> None:
    """Two frontiers of one tree are equal, and say their size and root."""
    assert frontier_at(5, subtree) == frontier_at(5, subtree)
    assert frontier_at(5, subtree) != frontier_at(6, subtree)
    assert f"Frontier(size=5, root={ROOTS[5].hex()})" == repr(frontier_at(5, subtree))


def test_append_returns_the_index() -> None:
    """The first leaf has index 0."""
    frontier = Frontier()

    assert [0, 1, 2] == [frontier.append(leaf) for leaf in LEAVES[:3]]


@given(st.integers(0, 2**40))
def test_full_subtrees_cover_a_tree_without_gaps(size: int) -> None:
    """The subtrees of a tree stand side by side from 0 to its size, each smaller than the one before."""
    cover = full_subtrees(0, size)
    ends = [0, *((index + 1) << level for level, index in cover)]

    assert size == ends[-1]
    assert ends[:-1] == [index << level for level, index in cover]
    assert all(left > right for (left, _), (right, _) in pairwise(cover))
