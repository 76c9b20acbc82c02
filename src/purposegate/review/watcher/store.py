"""The watcher's own store: covert entries, hits, and how far each shard was read. One SQLite file, sealed row by row.

In clear stand only counts, keyed tokens, and the positions in the ledger; everything else opens under the watcher's key file.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import apsw

from purposegate.errors import EvidenceMalformed, SettingsError
from purposegate.ledger import keys
from purposegate.ledger.place import Lock
from purposegate.ledger.sqlite_file import FULL
from purposegate.review.watcher.copy import Position

APPLICATION_ID = 0x50475731
VERSION = 1
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE meta     (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE entry    (number INTEGER PRIMARY KEY AUTOINCREMENT, tok BLOB NOT NULL UNIQUE, print BLOB NOT NULL,
                       kid INTEGER NOT NULL, nonce BLOB NOT NULL, ct BLOB NOT NULL, model TEXT NOT NULL);
CREATE TABLE position (shard TEXT PRIMARY KEY, vkey TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE hit      (number INTEGER PRIMARY KEY AUTOINCREMENT, tok BLOB NOT NULL UNIQUE,
                       kid INTEGER NOT NULL, nonce BLOB NOT NULL, ct BLOB NOT NULL, chained INTEGER NOT NULL);
"""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One covert entry as kept: its cells, and the model that it was last matched by (empty: never, or changed since)."""

    number: int
    cells: Mapping[str, str]
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One hit as kept. `tok` is its name in the chain, hex: the same hit never has two."""

    number: int
    tok: str
    body: Json


class Store:
    """One watcher's store, open. Use from one thread; two processes take turns."""

    def __init__(self, path: Path, ring: keys.KeyRing) -> None:
        """Open or make the file. Raises SettingsError for another program's file, or another key's store."""
        self._ring = ring
        self._entries = keys.Cipher(ring, "watcher/entry")
        self._hits = keys.Cipher(ring, "watcher/hit")
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            self._db = apsw.Connection(str(path))
            self._db.set_busy_timeout(5_000)
            if self._db.pragma("application_id") == 0 and not self._db.pragma("schema_version"):
                with self._db as db:
                    db.execute(SCHEMA)
                    db.execute("INSERT INTO meta VALUES ('key', ?)", (ring.fingerprint(0),))
            known = (self._db.pragma("application_id"), self._db.pragma("user_version"))
            self._db.pragma("journal_mode", "wal")
            self._db.pragma("synchronous", FULL)
            self._db.pragma("secure_delete", 1)
        except apsw.Error as error:
            raise SettingsError(
                f"{path}: cannot be used as a watcher's store: {type(error).__name__}"
            ) from error
        if known != (APPLICATION_ID, VERSION):
            raise SettingsError(f"{path}: not a watcher's store of this release")
        if self._db.execute("SELECT value FROM meta WHERE name = 'key'").get != ring.fingerprint(0):
            raise SettingsError(
                f"{path}: made with another key file; bring back the one that it was made with"
            )

    def take(self, entries: Sequence[Mapping[str, str]]) -> tuple[int, int]:
        """Keep these entries, by their ids; in one transaction. Returns how many are new and how many changed."""
        new = changed = 0
        with self._db as db:
            for cells in entries:
                clear = _json(cells)
                tok = self._ring.term("entry", (cells["id"],))
                seal = self._ring.term("print", (clear.decode(),))
                before: tuple[int, bytes] | None = db.execute(
                    "SELECT number, print FROM entry WHERE tok = ?", (tok,)
                ).fetchone()
                if before and before[1] == seal:
                    continue
                new, changed = (new, changed + 1) if before else (new + 1, changed)
                number = before[0] if before else self._next("entry")
                nonce = os.urandom(keys.NONCE_BYTES)
                db.execute(
                    "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, '')",
                    (number, tok, seal, self._entries.kid, nonce, self._entries.seal(clear, number, nonce)),
                )
        return new, changed

    def _next(self, table: str) -> int:
        found: int | None = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).get
        return (found or 0) + 1

    def entries(self) -> list[Kept]:
        """Every covert entry. Raises SettingsError where one does not open."""
        rows: Iterable[Any] = self._db.execute(
            "SELECT number, kid, nonce, ct, model FROM entry ORDER BY number"
        ).fetchall()
        return [
            Kept(number=number, cells=self._open(self._entries, number, kid, nonce, ct), model=model)
            for number, kid, nonce, ct, model in rows
        ]

    def positions(self) -> dict[str, Position]:
        """How far each shard was read, by its name."""
        rows: Iterable[Any] = self._db.execute("SELECT shard, vkey, size, root FROM position").fetchall()
        return {shard: Position(vkey=vkey, size=size, root=root) for shard, vkey, size, root in rows}

    def forget_position(self, shard: str) -> None:
        """Read this shard from its beginning in the next cycle, whatever was read of it before."""
        self._db.execute("DELETE FROM position WHERE shard = ?", (shard,))

    def advance(
        self,
        positions: Mapping[str, Position],
        hits: Iterable[tuple[Sequence[str], Json]],
        matched: Iterable[Kept],
        model: str,
    ) -> int:
        """Keep the hits that are not kept yet, and what was read and matched, in one transaction; returns how many were new.

        A hit comes with the parts that name it. An entry changed since `matched` was read stays to be matched.
        """
        added = 0
        with self._db as db:
            for parts, body in hits:
                tok = self._ring.term("hit", parts)
                if db.execute("SELECT 1 FROM hit WHERE tok = ?", (tok,)).fetchone():
                    continue
                number, nonce = self._next("hit"), os.urandom(keys.NONCE_BYTES)
                sealed = self._hits.seal(_json(body), number, nonce)
                db.execute(
                    "INSERT INTO hit VALUES (?, ?, ?, ?, ?, 0)", (number, tok, self._hits.kid, nonce, sealed)
                )
                added += 1
            db.executemany(
                "INSERT OR REPLACE INTO position VALUES (?, ?, ?, ?)",
                [(shard, at.vkey, at.size, at.root) for shard, at in positions.items()],
            )
            db.executemany(
                "UPDATE entry SET model = ? WHERE number = ? AND print = ?",
                [
                    (model, kept.number, self._ring.term("print", (_json(kept.cells).decode(),)))
                    for kept in matched
                ],
            )
        return added

    def hits(self, *, unchained: bool = False, number: int | None = None) -> list[Hit]:
        """Hits kept, in order: all, those not in the chain yet, or one."""
        rows: Iterable[Any] = self._db.execute(
            "SELECT number, tok, kid, nonce, ct FROM hit WHERE (?1 IS NULL OR number = ?1)"
            " AND (NOT ?2 OR chained = 0) ORDER BY number",
            (number, unchained),
        ).fetchall()
        return [
            Hit(number=number, tok=tok.hex(), body=self._open(self._hits, number, kid, nonce, ct))
            for number, tok, kid, nonce, ct in rows
        ]

    def chained(self, number: int) -> None:
        """Remember that a hit stands in the chain."""
        self._db.execute("UPDATE hit SET chained = 1 WHERE number = ?", (number,))

    def _open(self, cipher: keys.Cipher, number: int, kid: int, nonce: bytes, sealed: bytes) -> Json:
        try:
            body: Json = json.loads(cipher.open(sealed, index=number, kid=kid, nonce=nonce))
        except (EvidenceMalformed, KeyError) as error:
            raise SettingsError(
                f"the watcher's store: row {number} does not open under its key: altered, moved, or the key is gone"
            ) from error
        return body

    def close(self) -> None:
        """Let go. Idempotent."""
        self._db.close(True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the watcher's home: one process at a time imports, matches or reads. Raises SettingsError."""
    try:
        lock = Lock(folder / "watcher.lock")
    except BlockingIOError as error:
        raise SettingsError(
            f"{folder}: another watcher is at work here; ask again when it is done"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
