"""Somebody else's Cerbos: proved like our own, and believed only for policies served under their digest."""

import asyncio
import datetime as dt
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cerbos_world import POLICIES, USUAL, foreign_cerbos, policy, rule, write
from purposegate.decision import RemoteDecider, Tls, bundle, stamp
from purposegate.decision.serving import UNVERIFIED
from purposegate.errors import PdpOutage
from purposegate.reasons import Reason

pytestmark = pytest.mark.anyio


def stamped(target: Path, *directories: Path) -> Path:
    """What an operator serves: each set of policies under its digest, and the canaries under the default version too."""
    write(target, {name: content.decode() for name, content in bundle.canary_files().items()})
    for directory in directories:
        stamp.write(bundle.read(directory), target)
    return target


async def test_policies_served_under_their_digest_decide(tmp_path: Path) -> None:
    """The digest is asked for as policy version; the answer proves which policies gave it, accepted relations included."""
    with foreign_cerbos(tmp_path, stamped(tmp_path / "p", POLICIES)) as address:
        decider = RemoteDecider(address, policies_dir=POLICIES, deadline_s=5.0)
        await decider.start()
        colleague = replace(USUAL, conflict="colleague", conflict_default="flag", conflict_tier="confirmed")
        ruling = await decider.decide(
            [USUAL, colleague, replace(USUAL, entitled=False)], lookup_id="lookup-1"
        )
        reads_ids = decider.reads_record_ids
        await decider.aclose()

    digest = bundle.policies_digest(POLICIES)
    casework = f"resource.record.v{digest}#casework"
    assert (digest, [True, True, False]) == (ruling.digest, [answer.allowed for answer in ruling.answers])
    assert casework in ruling.allow_rules
    assert {casework: ["colleague"]} == {
        output.src: output.value["accepts"]
        for output in ruling.answers[1].outputs
        if "accepts" in output.value
    }
    assert not reads_ids


async def test_two_sets_of_policies_stand_side_by_side(tmp_path: Path) -> None:
    """A server can hold the old and the new policies; each gate is answered by the set it asks for."""
    changed = write(tmp_path / "new", {"a.yaml": policy("record", rule("open", "ALLOW"))})
    with foreign_cerbos(tmp_path, stamped(tmp_path / "p", POLICIES, changed)) as address:
        decider = RemoteDecider(address, policies_dir=POLICIES, deadline_s=5.0)
        await decider.start()
        lost = replace(USUAL, entitled=False)
        before = await decider.decide([lost], lookup_id="lookup-1")
        digest = await decider.reload(changed)
        after = await decider.decide([lost], lookup_id="lookup-2")
        await decider.aclose()

    assert (False, True) == (before.answers[0].allowed, after.answers[0].allowed)
    assert bundle.policies_digest(changed) == digest == after.digest


@pytest.mark.parametrize("policies", [None, POLICIES], ids=["not-asked", "not-served"])
async def test_policies_nobody_vouches_for_are_unverified(tmp_path: Path, policies: Path | None) -> None:
    """Served under no digest, policies decide as `unverified`, and none of their rules may accept a relation."""
    served = write(tmp_path / "p", {"a.yaml": policy("record", rule("open", "ALLOW"))})
    with foreign_cerbos(tmp_path, stamped(served)) as address:
        decider = RemoteDecider(address, policies_dir=policies, deadline_s=5.0)
        await decider.start()
        ruling = await decider.decide([USUAL], lookup_id="lookup-1")
        await decider.aclose()

    assert (UNVERIFIED, frozenset(), True) == (ruling.digest, ruling.allow_rules, ruling.answers[0].allowed)


async def test_a_server_without_canaries_is_unfit(tmp_path: Path) -> None:
    """What cannot be proved is not used; the error says how to serve the canaries."""
    served = write(tmp_path / "p", {"a.yaml": policy("record", rule("open", "ALLOW"))})
    with (
        foreign_cerbos(tmp_path, served) as address,
        pytest.raises(PdpOutage, match="purposegate pdp --stamp"),
    ):
        await RemoteDecider(address, deadline_s=5.0).start()


async def test_no_server_is_an_outage(tmp_path: Path) -> None:
    """Nobody at the address: an outage at start, and nothing is decided afterwards."""
    decider = RemoteDecider(f"unix:{tmp_path / 'nobody.sock'}")
    with pytest.raises(PdpOutage) as caught:
        await decider.start()

    assert Reason.PDP_UNAVAILABLE == caught.value.reason
    with pytest.raises(PdpOutage):
        await decider.decide([USUAL], lookup_id="lookup-1")


async def test_a_server_that_goes_and_returns_is_noticed(tmp_path: Path) -> None:
    """While it is gone lookups are outages; once it is back they are answered, without a restart here."""
    served = stamped(tmp_path / "p", POLICIES)
    decider = RemoteDecider(f"unix:{tmp_path / 'foreign.sock'}", policies_dir=POLICIES, deadline_s=5.0)
    with foreign_cerbos(tmp_path, served):
        await decider.start()
    with pytest.raises(PdpOutage):
        await decider.decide([USUAL], lookup_id="lookup-1")
    (tmp_path / "foreign.sock").unlink()
    (tmp_path / "http.sock").unlink()
    with foreign_cerbos(tmp_path, served):
        told = None
        while told is None:
            try:
                told = await decider.decide([USUAL], lookup_id="lookup-2")
            except PdpOutage:
                continue
        await decider.aclose()

    assert told.answers[0].allowed


@contextmanager
def foreign_again(directory: Path, policies: Path, *, strict: bool) -> Iterator[None]:
    """Another Cerbos at the address of the last one."""
    for name in ("foreign.sock", "http.sock"):
        (directory / name).unlink()
    with foreign_cerbos(directory, policies, engine={"strictEvaluation": strict}):
        yield


async def until_proved(decider: RemoteDecider, *, unfit: bool) -> None:
    """Wait until the prover has seen the server as it is now; twenty seconds are for a machine under load."""
    deadline = monotonic() + 20
    serving = decider._serving
    assert serving is not None
    while ("unfit" in str(serving.fault())) is not unfit:
        assert monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_server_that_turns_unfit_is_no_longer_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restarted without strict evaluation, somebody else's Cerbos decides nothing more here until it is fit again."""
    monkeypatch.setattr("purposegate.decision.remote.PROVING_EVERY_S", 0.02)
    served = stamped(tmp_path / "p", POLICIES)
    decider = RemoteDecider(f"unix:{tmp_path / 'foreign.sock'}", policies_dir=POLICIES, deadline_s=5.0)
    with foreign_cerbos(tmp_path, served):
        await decider.start()
    with foreign_again(tmp_path, served, strict=False):
        await until_proved(decider, unfit=True)
        with pytest.raises(PdpOutage, match="unfit"):
            await decider.decide([USUAL], lookup_id="lookup-1")
    with foreign_again(tmp_path, served, strict=True):
        await until_proved(decider, unfit=False)
        ruling = await decider.decide([USUAL], lookup_id="lookup-2")
    await decider.aclose()

    assert ruling.answers[0].allowed


def test_plaintext_leaves_no_host() -> None:
    """Questions are personal data: beyond this host they travel under TLS or not at all."""
    with pytest.raises(PdpOutage, match="TLS"):
        RemoteDecider("pdp.example:3593")
    for address in ("unix:/run/cerbos.sock", "localhost:3593", "127.0.0.1:3593", "[::1]:3593"):
        RemoteDecider(address)


@pytest.mark.parametrize(
    "half", [{"certificate": Path("c.pem")}, {"key": Path("k.pem")}, {"ca": Path("nowhere.pem")}]
)
def test_tls_files_that_do_not_fit_are_named(half: dict[str, Path]) -> None:
    """Half a pair, or a file that is not there, is an error before anything is asked."""
    with pytest.raises(PdpOutage):
        RemoteDecider("pdp.example:3593", tls=Tls(**half))


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths[1].write_bytes(key.private_bytes(*pem))
    return paths


async def test_tls_knows_the_server_by_its_authority(tmp_path: Path) -> None:
    """With the server's own authority lookups are answered; with another's nothing is asked."""
    own, key = certificate(tmp_path, "own")
    other, _ = certificate(tmp_path, "other")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = {"tls": {"cert": str(own), "key": str(key)}}
    with foreign_cerbos(tmp_path, stamped(tmp_path / "p", POLICIES), address=address, server=server):
        decider = RemoteDecider(address, policies_dir=POLICIES, tls=Tls(ca=own), deadline_s=5.0)
        await decider.start()
        ruling = await decider.decide([USUAL], lookup_id="lookup-1")
        await decider.aclose()
        with pytest.raises(PdpOutage):
            await RemoteDecider(address, tls=Tls(ca=other), deadline_s=5.0).start()

    assert ruling.answers[0].allowed
