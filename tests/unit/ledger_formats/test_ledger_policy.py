"""Trust policies: what stands in them, and which heads they let pass."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purposegate.errors import EvidenceMalformed, ProofFailed
from purposegate.ledger.checkpoint import Checkpoint
from purposegate.ledger.cosignature import WitnessSigner
from purposegate.ledger.note import LogSigner, Note, Signature
from purposegate.ledger.policy import Policy

LOG = LogSigner.generate("force.example/log")
OTHER_LOG = LogSigner.generate("force.example/other")
WITNESSES = {name: WitnessSigner.generate(f"{name}.example") for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}
HEAD = Checkpoint("force.example/log", 3, bytes(32))
LOG_LINE = f"log {LOG.verifier}\n"
WITNESS_LINES = "".join(f"witness {name} {signer.verifier}\n" for name, signer in WITNESSES.items())
TWO_LEVELS = f"""# the example of the specification
{LOG_LINE}
{WITNESS_LINES}
group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3

\tgroup X-and-Y all X-witnesses \tY-witnesses
quorum X-and-Y
"""


def cosigned(*names: str, at_s: int = 1_700_000_000) -> bytes:
    cosignatures = tuple(WITNESSES[name].cosign(HEAD.text, at_s) for name in names)
    return Note(HEAD.text, (LOG.sign(HEAD.text), *cosignatures)).to_bytes()


@given(st.sets(st.sampled_from(sorted(WITNESSES))))
def test_quorum_of_two_levels(names: set[str]) -> None:
    """The specification's example: two of the X and one of the Y, in whatever combination."""
    enough = len(names & {"X1", "X2", "X3"}) >= 2 and bool(names & {"Y1", "Y2", "Y3"})
    policy = Policy.parse(TWO_LEVELS.encode())
    try:
        found = set(policy.judge(cosigned(*sorted(names))).cosigned_at_s)
    except ProofFailed:
        assert not enough
        return
    assert (enough, names) == (True, found)


@pytest.mark.parametrize(("threshold", "needed"), [("any", 1), ("2", 2), ("all", 3)])
def test_threshold_counts_members(threshold: str, needed: int) -> None:
    """`any` is one, `all` is every one, a number is that number."""
    policy = Policy.parse(f"{LOG_LINE}{WITNESS_LINES}group g {threshold} X1 X2 X3\nquorum g\n".encode())
    passed = []
    for count in range(4):
        for names in combinations(("X1", "X2", "X3"), count):
            try:
                policy.judge(cosigned(*names))
            except ProofFailed:
                continue
            passed.append(count)

    assert {count for count in range(4) if count >= needed} == set(passed)


def test_no_quorum_wants_the_log_alone() -> None:
    """`quorum none` lets a head pass that no witness has seen."""
    policy = Policy.parse(f"{LOG_LINE}quorum none\n".encode())

    assert HEAD == policy.judge(cosigned()).signed.checkpoint


def test_witnesses_do_not_stand_in_for_the_log() -> None:
    """However many witnesses cosigned, a head its log did not sign is refused."""
    policy = Policy.parse(f"{LOG_LINE}{WITNESS_LINES}quorum X1\n".encode())
    raw = Note(HEAD.text, (WITNESSES["X1"].cosign(HEAD.text, 1),)).to_bytes()

    with pytest.raises(ProofFailed):
        policy.judge(raw)


def test_known_log_does_not_sign_for_another_origin() -> None:
    """A head that another known log signed is refused: the key's name is the origin it may sign."""
    policy = Policy.parse(f"log {LOG.verifier}\nlog {OTHER_LOG.verifier}\nquorum none\n".encode())

    with pytest.raises(ProofFailed):
        policy.judge(HEAD.signed_by(OTHER_LOG))


def test_bad_cosignature_of_a_known_witness_rejects_the_head() -> None:
    """A cosignature that does not verify rejects the head even where the quorum is met without it."""
    policy = Policy.parse(f"{LOG_LINE}{WITNESS_LINES}quorum X1\n".encode())
    forged = Signature(WITNESSES["X2"].name, WITNESSES["X2"].verifier.key_id, bytes(72))
    raw = Note(HEAD.text, (*Note.parse(cosigned("X1")).signatures, forged)).to_bytes()

    with pytest.raises(ProofFailed):
        policy.judge(raw)


def test_latest_cosignature_of_a_witness_counts() -> None:
    """Of several cosignatures by one witness the newest says when it last saw the head."""
    policy = Policy.parse(f"{LOG_LINE}{WITNESS_LINES}quorum X1\n".encode())
    lines = tuple(WITNESSES["X1"].cosign(HEAD.text, at_s) for at_s in (30, 50, 40))
    raw = Note(HEAD.text, (LOG.sign(HEAD.text), *lines)).to_bytes()

    assert {"X1": 50} == policy.judge(raw).cosigned_at_s


def test_urls_are_kept() -> None:
    """Where a log or witness answers is read when it is said."""
    policy = Policy.parse(
        f"log {LOG.verifier} https://log.example/\n"
        f"witness w {WITNESSES['X1'].verifier} https://w.example/\nquorum w\n".encode()
    )

    assert ("https://log.example/", "https://w.example/") == (policy.logs[0].url, policy.witnesses["w"].url)


def test_names_are_octets() -> None:
    """Names that look alike, hold Unicode spaces or are no UTF-8 stay different names."""
    raw = b"".join(
        b"witness %s %s\n" % (name, str(signer.verifier).encode())
        for name, signer in zip(
            [b"K", "\N{KELVIN SIGN}".encode(), "a\N{NO-BREAK SPACE}b".encode(), b"\xff"],
            WITNESSES.values(),
            strict=False,
        )
    )
    policy = Policy.parse(LOG_LINE.encode() + raw + b"quorum \xff\n")

    assert 4 == len(policy.witnesses)
    assert policy.quorum == list(policy.witnesses)[3]


BAD_LINES = {
    "no quorum": LOG_LINE,
    "two quorums": f"{LOG_LINE}quorum none\nquorum none\n",
    "no final newline": f"{LOG_LINE}quorum none",
    "carriage return": f"{LOG_LINE}quorum none\r\n",
    "NUL": f"{LOG_LINE}quorum none\n#\0\n",
    "DEL": f"{LOG_LINE}quorum none\n#\x7f\n",
    "unknown line": f"{LOG_LINE}quorum none\nwitnesses\n",
    "upper case": f"{LOG_LINE.upper()}quorum none\n",
    "log twice": f"{LOG_LINE}{LOG_LINE}quorum none\n",
    "log without key": "log\nquorum none\n",
    "log with a witness's key": f"log {WITNESSES['X1'].verifier}\nquorum none\n",
    "witness with a log's key": f"witness w {LOG.verifier}\nquorum none\n",
    "witness key twice": f"witness a {WITNESSES['X1'].verifier}\nwitness b {WITNESSES['X1'].verifier}\nquorum a\n",
    "witness name twice": f"witness a {WITNESSES['X1'].verifier}\nwitness a {WITNESSES['X2'].verifier}\nquorum a\n",
    "witness called none": f"witness none {WITNESSES['X1'].verifier}\nquorum none\n",
    "group called as a witness": f"{WITNESS_LINES}group X1 any X2\nquorum X1\n",
    "too many items": f"log {LOG.verifier} url more\nquorum none\n",
    "threshold of zero": f"{WITNESS_LINES}group g 0 X1\nquorum g\n",
    "threshold over members": f"{WITNESS_LINES}group g 2 X1\nquorum g\n",
    "threshold in another spelling": f"{WITNESS_LINES}group g 01 X1\nquorum g\n",
    "group without members": f"{WITNESS_LINES}group g all\nquorum g\n",
    "member twice": f"{WITNESS_LINES}group g all X1 X1\nquorum g\n",
    "member of two groups": f"{WITNESS_LINES}group g all X1\ngroup h all X1 g\nquorum h\n",
    "member none": f"{WITNESS_LINES}group g any none X1\nquorum g\n",
    "group of itself": f"{WITNESS_LINES}group g any g\nquorum g\n",
    "group before its member": f"group g any X1\n{WITNESS_LINES}quorum g\n",
    "quorum before its group": f"{WITNESS_LINES}quorum g\ngroup g any X1\n",
    "quorum of nobody": f"{WITNESS_LINES}quorum nobody\n",
    "quorum of two": f"{WITNESS_LINES}quorum X1 X2\n",
    "key of another name": f"log {str(LOG.verifier).replace('force', 'farce')}\nquorum none\n",
}


@pytest.mark.parametrize("text", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_malformed_policy_is_refused(text: str) -> None:
    """A policy that says less, more or other than the specification allows is no policy."""
    with pytest.raises(EvidenceMalformed):
        Policy.parse(text.encode())


def test_fault_names_its_line() -> None:
    """The operator is told which line to mend."""
    with pytest.raises(EvidenceMalformed, match="line 3"):
        Policy.parse(f"# a comment\n{LOG_LINE}quorum nobody\n".encode())


def test_head_that_is_not_a_head_is_malformed() -> None:
    """What cannot be read is told apart from what was read and does not hold."""
    with pytest.raises(EvidenceMalformed):
        Policy.parse(f"{LOG_LINE}quorum none\n".encode()).judge(b"no note")
