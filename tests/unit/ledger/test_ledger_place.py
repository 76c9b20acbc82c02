from pathlib import Path

import pytest

from purposegate.errors import LedgerOutage, SettingsError
from purposegate.ledger.place import NETWORK_FILESYSTEMS, Lock, filesystem_of, hold_shard, require_local

MOUNTS = r"""
22 28 0:21 / /proc rw,nosuid - proc proc rw
28 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 28 0:44 / /srv/share rw,relatime shared:7 - nfs4 server:/export rw,vers=4.2
41 40 254:1 / /srv/share/local rw - xfs /dev/vdb rw
42 28 0:45 / /srv/with\040space rw - cifs //server/x rw
43 28 0:46 / /srv/twice rw - ext4 /dev/vdc rw
44 43 0:47 / /srv/twice rw - nfs server:/x rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/srv/share", "nfs4"),
        ("/srv/share/ledger", "nfs4"),
        ("/srv/shared", "ext4"),
        ("/srv/share/local/ledger", "xfs"),
        ("/srv/with space/ledger", "cifs"),
        ("/srv/twice", "nfs"),
    ],
)
def test_filesystem_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    """The longest mount point that holds the path decides, the later of two on one point."""
    assert kind == filesystem_of(Path(path), MOUNTS)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"])
def test_network_filesystems_are_known(kind: str) -> None:
    """Where SQLite's locks or fsync cannot be trusted is refused with where to go instead."""
    assert kind in NETWORK_FILESYSTEMS


def test_refusal_says_where_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the filesystem and what to do."""
    monkeypatch.setattr("purposegate.ledger.place.filesystem_of", lambda *_: "cifs")

    with pytest.raises(SettingsError, match="cifs is a network filesystem; put the ledger on a local disk"):
        require_local(tmp_path)


def test_this_disk_is_local(tmp_path: Path) -> None:
    """The machine's own mounts are read."""
    require_local(tmp_path)


def test_lock_is_exclusive_until_released(tmp_path: Path) -> None:
    """A held lock refuses at once; a released one is free, and releasing twice is harmless."""
    lock = Lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        Lock(tmp_path / "lock")
    lock.release()
    lock.release()

    Lock(tmp_path / "lock").release()


def test_auto_takes_the_first_free_shard(tmp_path: Path) -> None:
    """Shards are taken in order, and a freed one is taken again."""
    held = [hold_shard(tmp_path / "l.db", "auto") for _ in range(3)]
    held[1][1].release()
    again, lock = hold_shard(tmp_path / "l.db", "auto")

    assert (["shard-0", "shard-1", "shard-2"], "shard-1") == ([name for name, _ in held], again)
    for each in (held[0][1], held[2][1], lock):
        each.release()


def test_no_free_shard_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When every shard is held the opener is told so."""
    monkeypatch.setattr("purposegate.ledger.place.MAX_SHARDS", 1)
    _, lock = hold_shard(tmp_path / "l.db", "auto")
    with pytest.raises(LedgerOutage, match="all 1 shards"):
        hold_shard(tmp_path / "l.db", "auto")
    lock.release()


def test_unwritable_place_is_an_outage(tmp_path: Path) -> None:
    """A lock file that cannot be made is an outage, not a crash."""
    with pytest.raises(LedgerOutage, match="cannot be locked"):
        hold_shard(tmp_path / "none" / "l.db", "auto")
