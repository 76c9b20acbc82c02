"""Erasing and holding: what two approvers can do, what one cannot, and what verify says of it."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from ledgers import ORIGIN, entry, open_ledger, sight
from purposegate.cli.ledger import ledger as command
from purposegate.errors import EvidenceMalformed, ProofFailed
from purposegate.ledger import erasure
from purposegate.ledger.note import LogSigner, Note
from purposegate.ledger.retention import (
    Act,
    Recorded,
    Request,
    RetentionPolicy,
    Ruled,
    Span,
    approved,
    held,
    ruled,
    why_not,
)
from purposegate.ledger.verdict import Evidence
from purposegate.ledger.verify import verify_file
from purposegate.model import EntryKind

OLD = datetime.now(UTC) - timedelta(days=800)
READING = ("--as", "psd-7", "--purpose", "audit.psd", "--reason", "checking an erasure")


class Office:
    """A ledger with twenty old entries and three young ones, and two approvers with their policy."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "l.db"
        self.folder = folder
        with open_ledger(self.path) as ledger:
            for number in range(1, 24):
                at = OLD + timedelta(hours=number) if number <= 20 else datetime.now(UTC)
                ledger.append_wait(entry(number, at=at, counts=[sight(number % 3)]))
        self.approvers = [LogSigner.generate(name) for name in ("approver-one", "approver-two", "stranger")]
        self.policy = folder / "retention"
        self.policy.write_text(
            "floor-days 730\n" + "".join(f"approver {each.verifier}\n" for each in self.approvers[:2])
        )

    def evidence(self) -> Evidence:
        return Evidence(retention=RetentionPolicy.parse(self.policy.read_bytes()))

    def run(self, *words: object) -> Result:
        return CliRunner().invoke(command, [str(word) for word in words])

    def request(
        self,
        *signers: int,
        act: Act = Act.ERASE,
        entries: str = "shard-0/3-5",
        origin: str = ORIGIN,
        asked_at: str = "2026-11-21T19:00:00Z",
    ) -> Path:
        """A request signed by these approvers."""
        request = Request(
            act=act,
            origin=origin,
            spans=(Span.parse(entries),),
            rule="six years",
            authority="DCI 1",
            asked_at=asked_at,
        )
        file = self.folder / f"request-{act}"
        text = request.text
        signatures = tuple(self.approvers[signer].sign(text) for signer in signers)
        file.write_bytes(Note(text, signatures).to_bytes() if signers else text.encode())
        return file

    def carry_out(self, *signers: int, act: Act = Act.ERASE, **changes: Any) -> Result:
        verb = "erase" if act is Act.ERASE else "hold"
        file = self.request(*signers, act=act, **changes)
        return self.run(verb, self.path, "--request", file, "--retention", self.policy)

    def payloads(self) -> int:
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        (found,) = connection.execute("SELECT count(*) FROM payload").fetchall()
        connection.close()
        return int(found[0])  # type: ignore[arg-type]  # count(*) is an integer


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_erasing_takes_the_clear_text_and_leaves_the_log_whole(office: Office) -> None:
    """Two approvers give up three entries: their payloads are gone, verify says intact and counts them as erased."""
    before = office.payloads()
    result = office.carry_out(0, 1)
    report = verify_file(office.path, office.evidence())

    assert (0, before - 3 + 1) == (result.exit_code, office.payloads())
    assert ([], 3) == (report.mismatches, report.erased)
    assert "3 erased as recorded" in report.text()


def test_erasing_what_was_verified_earlier_has_all_read_again(office: Office) -> None:
    """After an erasure the earlier verification is not gone on from: old payloads and counters are judged anew, and stand."""
    earlier = verify_file(office.path, office.evidence()).reached
    office.carry_out(0, 1)
    report = verify_file(office.path, replace(office.evidence(), earlier=earlier))

    assert (0, 3, [0]) == (report.exit_code, report.erased, [shard.earlier for shard in report.shards])


def test_erased_text_is_not_in_the_files(office: Office) -> None:
    """Neither database nor write-ahead log nor index keeps the ciphertext of what was erased."""
    connection = apsw.Connection(str(office.path), flags=apsw.SQLITE_OPEN_READONLY)
    (sealed,) = connection.execute("SELECT ct FROM payload WHERE pos = (1 << 40) + 4").fetchall()[0]
    connection.close()
    assert isinstance(sealed, bytes)
    assert sealed[:64] in office.path.read_bytes()
    office.carry_out(0, 1)

    for file in office.folder.glob("l.db*"):
        assert sealed[:64] not in file.read_bytes()


def test_erased_entries_are_no_longer_found_or_counted(office: Office) -> None:
    """Search terms and repeat counts of erased entries are gone; what remains is still found and counted."""
    office.run("query", office.path, "--principal", "pc-42", *READING)
    office.carry_out(0, 1)
    found = office.run("query", office.path, "--principal", "pc-42", "--format", "csv", *READING).stdout

    assert "shard-0/3," not in found
    assert "shard-0/6," in found
    assert 0 == verify_file(office.path, office.evidence()).exit_code


def test_erasing_again_changes_nothing(office: Office) -> None:
    """The same request twice: the second finds nothing left to erase, and verify is content."""
    office.carry_out(0, 1)
    second = office.carry_out(0, 1)

    assert "0 payloads erased" in second.stdout
    assert 0 == verify_file(office.path, office.evidence()).exit_code


@pytest.mark.parametrize("signers", [(0,), (0, 0), (0, 2), (2,)])
def test_one_approver_is_not_enough(office: Office, signers: tuple[int, ...]) -> None:
    """One approver, one twice, or one and a stranger: nothing is recorded and nothing erased."""
    before = office.payloads()
    result = office.carry_out(*signers)

    assert (2, before) == (result.exit_code, office.payloads())


@pytest.mark.parametrize("entries", ["shard-0/19-21", "shard-0/0-3", "shard-0/20-99", "shard-9/1-2"])
def test_what_may_not_be_erased_stays(office: Office, entries: str) -> None:
    """Young entries, the genesis, entries that are not there: the whole request is refused, nothing changed."""
    before = office.payloads()
    result = office.carry_out(0, 1, entries=entries)

    assert (2, before) == (result.exit_code, office.payloads())


def test_request_for_another_ledger_is_refused(office: Office) -> None:
    """A request names the ledger that it is for."""
    assert 2 == office.carry_out(0, 1, origin="elsewhere").exit_code


def test_hold_keeps_and_lift_lets_go(office: Office) -> None:
    """Entries under a hold are not erased until two approvers lift it."""
    office.carry_out(0, 1, act=Act.HOLD, entries="shard-0/4-4")
    refused = office.carry_out(0, 1)
    office.carry_out(0, 1, act=Act.LIFT, entries="shard-0/4-4")
    erased = office.carry_out(0, 1)

    assert (2, True) == (refused.exit_code, "under a hold" in refused.stderr)
    assert (0, True) == (erased.exit_code, "3 payloads erased" in erased.stdout)
    assert 0 == verify_file(office.path, office.evidence()).exit_code


def test_an_old_lift_recorded_again_ends_no_new_hold(office: Office) -> None:
    """Whoever kept an approved lift cannot use it against the hold that came after: the request is refused, the hold stands."""
    office.carry_out(0, 1, act=Act.HOLD, entries="shard-0/4-4", asked_at="2026-03-01T09:00:00Z")
    office.carry_out(0, 1, act=Act.LIFT, entries="shard-0/4-4", asked_at="2026-04-01T09:00:00Z")
    office.carry_out(0, 1, act=Act.HOLD, entries="shard-0/3-4", asked_at="2026-05-01T09:00:00Z")
    replayed = office.carry_out(0, 1, act=Act.LIFT, entries="shard-0/4-4", asked_at="2026-04-01T09:00:00Z")
    erased = office.carry_out(0, 1)

    assert (2, True) == (replayed.exit_code, "recorded already" in replayed.stderr)
    assert (2, True) == (erased.exit_code, "under a hold" in erased.stderr)


@pytest.mark.parametrize(
    ("asked_at", "told"),
    [("2026-04-01T09:00:00Z", "asked for later covers"), ("2999-01-01T00:00:00Z", "in the future")],
)
def test_a_lift_asked_for_at_another_time_is_refused(office: Office, asked_at: str, told: str) -> None:
    """A lift that was approved before the hold, or is dated ahead to outrank later ones, is not recorded."""
    office.carry_out(0, 1, act=Act.HOLD, entries="shard-0/3-9", asked_at="2026-05-01T09:00:00Z")
    result = office.carry_out(0, 1, act=Act.LIFT, entries="shard-0/4-4", asked_at=asked_at)

    assert (2, True) == (result.exit_code, told in result.stderr)


def test_an_old_lift_written_past_the_rules_explains_no_erasure(office: Office) -> None:
    """A program without the rules can record an old lift again; verify still holds the erasure against the newer hold."""
    office.carry_out(0, 1, act=Act.HOLD, entries="shard-0/4-4", asked_at="2026-05-01T09:00:00Z")
    write(office, EntryKind.HOLD, office.request(0, 1, act=Act.LIFT, asked_at="2026-04-01T09:00:00Z"))
    force(office, "shard-0/4-4")

    assert [(4, "an erase entry, but it is under a hold")] == whys(office)


def test_a_hold_taken_out_of_the_search_index_still_holds(office: Office) -> None:
    """What is held is read from the ledger: whoever tampers with the derived index lets nothing go."""
    office.carry_out(0, 1, act=Act.HOLD, entries="shard-0/4-4")
    office.run("query", office.path, "--principal", "pc-42", *READING)
    connection = apsw.Connection(str(office.path) + ".index")
    connection.execute("DELETE FROM entry WHERE kind = 'hold'")
    connection.close()
    result = office.carry_out(0, 1)

    assert (2, True) == (result.exit_code, "under a hold" in result.stderr)


def test_a_clock_set_back_puts_no_erasure_before_its_hold(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the clock set back to before the hold, what is held is not erased; written past the rules, verify tells."""

    class Yesterday(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - timedelta(days=1)

    office.carry_out(0, 1, act=Act.HOLD, entries="shard-0/4-4")
    monkeypatch.setattr(erasure, "datetime", Yesterday)
    refused = office.carry_out(0, 1)
    force(office, "shard-0/4-4", at=Yesterday.now(UTC))

    assert (2, True) == (refused.exit_code, "under a hold" in refused.stderr)
    assert [(4, "an erase entry, but it is under a hold")] == whys(office)


def delete_payload(path: Path, number: int) -> None:
    """Take a payload away behind the ledger's back, counter and all."""
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM payload WHERE pos = (1 << 40) + ?", (number,))
    connection.close()


def whys(office: Office, evidence: Evidence | None = None) -> list[tuple[int | None, str]]:
    report = verify_file(office.path, evidence or office.evidence())
    return [(each.index, each.found) for each in report.mismatches if each.what == "the payload is missing"]


def test_unrecorded_erasure_is_tampering(office: Office) -> None:
    """A payload that is gone without a request is named, beside one that went as it should."""
    office.carry_out(0, 1)
    delete_payload(office.path, 9)

    assert [(9, "neither")] == whys(office)


def test_erasure_under_a_hold_is_tampering(office: Office) -> None:
    """Whoever erases what is held, and even records it, is told by verify."""
    office.carry_out(0, 1, act=Act.HOLD, entries="shard-0/4-4")
    force(office, "shard-0/4-4")

    assert [(4, "an erase entry, but it is under a hold")] == whys(office)


def test_erasure_below_the_floor_is_tampering(office: Office) -> None:
    """A young entry erased by a recorded request is told by verify."""
    force(office, "shard-0/22-22")

    assert [(22, "an erase entry, but it is younger than the floor of 730 days")] == whys(office)


def test_erased_erase_entry_is_tampering(office: Office) -> None:
    """The record of an erasure cannot be erased itself."""
    office.carry_out(0, 1)
    delete_payload(office.path, 24)

    assert 24 in [index for index, _ in whys(office)]


def test_approvers_that_are_not_trusted_explain_nothing(office: Office) -> None:
    """With a policy that names others, the erasure was not approved by anybody who may."""
    office.carry_out(0, 1)
    others = "".join(f"approver {LogSigner.generate(name).verifier}\n" for name in ("x", "y"))
    policy = RetentionPolicy.parse(f"floor-days 365\n{others}".encode())

    assert 1 == verify_file(office.path, Evidence(retention=policy)).exit_code
    assert 0 == verify_file(office.path).exit_code


def write(office: Office, kind: EntryKind, request: Path, *, at: datetime | None = None) -> None:
    """Record an approved request, as a program without the rules would."""
    keys = [str(each.verifier) for each in office.approvers[:2]]
    with open_ledger(office.path) as ledger:
        ledger.append_wait(
            entry(
                90,
                kind=kind,
                at=at or datetime.now(UTC),
                released=False,
                fields={"request": request.read_text(encoding="utf-8"), "approvers": keys},
                rows=[],
                counts=[],
            )
        )


def force(office: Office, entries: str, *, at: datetime | None = None) -> None:
    """Record an approved erasure and delete, as a program without the rules would."""
    write(office, EntryKind.ERASE, office.request(0, 1, entries=entries), at=at)
    delete_payload(office.path, int(entries.rpartition("-")[2]))


def test_request_is_drafted_and_signed_on_the_command_line(office: Office) -> None:
    """Draft, two signatures by two key files, carried out: the whole way, as people go it."""
    request = office.folder / "request"
    keys = []
    for name in ("one", "two"):
        keys.append(office.folder / f"{name}.key")
        made = office.run("approve", "--key", keys[-1], "--new-key", f"approver-{name}")
        with office.policy.open("a") as policy:
            policy.write(made.stdout)
    drafted = office.run(
        "erase",
        office.path,
        "--draft",
        request,
        "--entries",
        "shard-0/3-5",
        "--rule",
        "six years",
        "--authority",
        "DCI 1",
    )
    early = office.run("erase", office.path, "--request", request, "--retention", office.policy)
    signed = [office.run("approve", request, "--key", key) for key in keys]
    twice = office.run("approve", request, "--key", keys[0])
    done = office.run("erase", office.path, "--request", request, "--retention", office.policy)

    assert [0, 2, 0, 0, 2, 0] == [each.exit_code for each in (drafted, early, *signed, twice, done)]
    assert "rule six years" in signed[0].stderr
    assert "3 payloads erased" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--draft", "x", "--request", "y"),
        ("--draft", "x"),
        ("--draft", "x", "--entries", "shard-0/5-3", "--rule", "six years", "--authority", "DCI 1"),
        ("--draft", "x", "--entries", "shard-0/3-5", "--rule", "r", "--authority", "DCI 1"),
    ],
)
def test_half_a_request_is_a_usage_error(
    office: Office, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be drafted is told at once, and no file is made."""
    monkeypatch.chdir(office.folder)

    assert 3 == office.run("erase", office.path, *words).exit_code
    assert not (office.folder / "x").exists()


GOOD = Request(
    act=Act.ERASE,
    origin="o",
    spans=(Span("shard-0", 1, 2), Span("shard-1", 0, 0)),
    rule="a rule",
    authority="somebody",
    asked_at="2026-11-21T19:00:00Z",
)


def test_request_is_read_back() -> None:
    """Reading undoes writing."""
    assert GOOD == Request.parse(GOOD.text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v1", "v2"),
        ("erase", "burn"),
        ("shard-0/1-2", "shard-0/2-1"),
        ("shard-0/1-2", "shard-0/01-2"),
        ("shard-0/1-2 ", "shard-0/1-2  "),
        ("rule a rule", "rule x"),
        ("rule a rule", "a rule"),
        ("2026-11-21T19:00:00Z", "yesterday"),
        ("2026-11-21T19:00:00Z\n", "2026-11-21T19:00:00Z"),
        ("authority somebody\n", ""),
        ("asked", "asked  "),
    ],
)
def test_request_has_one_spelling(old: str, new: str) -> None:
    """A request spelt otherwise is malformed: approvers sign exactly what is carried out."""
    with pytest.raises(EvidenceMalformed):
        Request.parse(GOOD.text.replace(old, new, 1))


@given(st.text())
def test_any_text_is_a_request_or_malformed(text: str) -> None:
    """No other error escapes."""
    try:
        Request.parse(text)
    except EvidenceMalformed:
        return
    assert text.startswith("purposegate.org/retention/v1\n")


KEYS = [LogSigner.generate(name) for name in ("a", "b")]
APPROVERS = "".join(f"approver {key.verifier}\n" for key in KEYS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        APPROVERS,
        "floor-days 365\n",
        f"floor-days 364\n{APPROVERS}",
        f"floor-days 0365\n{APPROVERS}",
        f"floor-days 365\nfloor-days 365\n{APPROVERS}",
        f"floor-days 365\napprover {KEYS[0].verifier}\n",
        f"floor-days 365\napprover {KEYS[0].verifier}\napprover {KEYS[0].verifier}\n",
        f"floor-days 365\n{APPROVERS}approve x\n",
        f"floor-days 365\n{APPROVERS}approver x\n",
    ],
)
def test_policies_that_would_protect_nothing_are_malformed(text: str) -> None:
    """No floor, one below the least, fewer than two people, a key twice, an unknown word: malformed."""
    with pytest.raises(EvidenceMalformed):
        RetentionPolicy.parse(text.encode())


def test_two_names_with_one_key_are_one_approver() -> None:
    """Two lines of the policy with the same key are one person: malformed; and one key's two names approve as one."""
    twin = LogSigner("c", KEYS[0]._private)
    with pytest.raises(EvidenceMalformed):
        RetentionPolicy.parse(
            f"floor-days 365\napprover {KEYS[0].verifier}\napprover {twin.verifier}\n".encode()
        )
    note = Note(GOOD.text, (KEYS[0].sign(GOOD.text), twin.sign(GOOD.text))).to_bytes()
    with pytest.raises(ProofFailed, match="1 of 2"):
        approved(note, [KEYS[0].verifier, twin.verifier])


@given(acts=st.lists(st.sampled_from([Act.HOLD, Act.LIFT, Act.ERASE]), max_size=6), number=st.integers(0, 3))
def test_last_hold_or_lift_decides(acts: list[Act], number: int) -> None:
    """Holds and lifts are read in order of time; erasures say nothing about holds; entries not covered are free."""
    rulings = [
        Ruled(
            OLD + timedelta(days=day),
            Request(**{**vars_of(GOOD), "act": act, "spans": (Span("shard-0", 1, 2),)}),
        )
        for day, act in enumerate(acts)
    ]
    said = [act for act in acts if act is not Act.ERASE]
    expected = bool(said) and said[-1] is Act.HOLD and 1 <= number <= 2

    assert expected == held(rulings, "shard-0", number)
    assert not held([], "shard-0", number)


def vars_of(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__slots__}


@pytest.mark.parametrize("kind", ["genesis", "erase", "hold", "recovery"])
def test_entries_about_the_log_itself_are_kept(kind: str) -> None:
    """However old, they are never erased."""
    why = why_not(
        [], shard="s", number=1, kind=kind, made_at=OLD, at=datetime.now(UTC), floor=timedelta(days=365)
    )

    assert "never erased" in why


def test_bad_signature_refuses_the_whole_request(office: Office) -> None:
    """A request altered after signing is refused, and a recorded one with a bad signature does not stand."""
    note = office.request(0, 1).read_bytes().replace(b"six years", b"six weeks")
    keys = [each.verifier for each in office.approvers[:2]]
    with pytest.raises(ProofFailed):
        approved(note, keys)
    standing, refused = ruled([Recorded("s", 1, OLD, note, [str(key) for key in keys])], None)

    assert ([], 1) == (standing, len(refused))


def test_locks_do_not_travel(office: Office, tmp_path: Path) -> None:
    """An erased ledger copied elsewhere with its keys verifies there as here."""
    office.carry_out(0, 1)
    (tmp_path / "copy").mkdir()
    for source in office.folder.glob("l.db*"):
        shutil.copy(source, tmp_path / "copy" / source.name)

    assert 0 == verify_file(tmp_path / "copy" / "l.db", office.evidence()).exit_code
