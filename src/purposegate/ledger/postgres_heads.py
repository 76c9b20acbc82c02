"""Signed heads and cosignatures in PostgreSQL: the statements, for one shard, in the caller's transaction."""

from typing import Any

import psycopg

from purposegate.ledger.sqlite_store import MINUTE_S

Session = psycopg.Connection[Any]


def keep(db: Session, shard: int, size: int, note: bytes, at_s: int) -> None:
    """Keep a signed head; of one minute only the last, unless cosigned."""
    before = db.execute(
        "SELECT size, at FROM ckpt WHERE shard = %s AND size < %s ORDER BY size DESC LIMIT 1", (shard, size)
    ).fetchall()
    _insert(db, shard, size, note, at_s)
    for older, at in before:
        if at // MINUTE_S == at_s // MINUTE_S:
            db.execute(
                "DELETE FROM ckpt WHERE shard = %s AND size = %s AND NOT EXISTS"
                " (SELECT FROM cosig WHERE cosig.shard = ckpt.shard AND cosig.size = ckpt.size)",
                (shard, older),
            )


def _insert(db: Session, shard: int, size: int, note: bytes, at_s: int) -> None:
    # One key signs one head of a size, and Ed25519 signs it one way: what is there already is the same.
    db.execute("INSERT INTO ckpt VALUES (%s, %s, %s, %b) ON CONFLICT DO NOTHING", (shard, size, at_s, note))


def keep_cosigned(
    db: Session, shard: int, size: int, note: bytes, at_s: int, *, keyname: str, line: str
) -> None:
    """Keep a witness's line; of one minute older cosigned heads go once the newer one has all their witnesses."""
    _insert(db, shard, size, note, at_s)
    db.execute(
        "INSERT INTO cosig VALUES (%s, %s, %s, %s) ON CONFLICT (shard, size, keyname) DO UPDATE SET line = excluded.line",
        (shard, size, keyname, line),
    )
    of_minute = {"shard": shard, "size": size, "width": MINUTE_S, "minute": at_s // MINUTE_S}
    db.execute(
        "DELETE FROM cosig WHERE shard = %(shard)s AND size < %(size)s"
        " AND size IN (SELECT size FROM ckpt WHERE shard = %(shard)s AND at / %(width)s = %(minute)s)"
        " AND NOT EXISTS (SELECT FROM cosig AS other WHERE other.shard = %(shard)s AND other.size = cosig.size"
        "  AND other.keyname NOT IN (SELECT keyname FROM cosig WHERE shard = %(shard)s AND size = %(size)s))",
        of_minute,
    )
    db.execute(
        "DELETE FROM ckpt WHERE shard = %(shard)s AND size < %(size)s AND at / %(width)s = %(minute)s"
        " AND NOT EXISTS (SELECT FROM cosig WHERE cosig.shard = ckpt.shard AND cosig.size = ckpt.size)",
        of_minute,
    )


def kept(db: Session, shard: int) -> bytes:
    """The largest signed head kept, or nothing."""
    found = db.execute(
        "SELECT note FROM ckpt WHERE shard = %s ORDER BY size DESC LIMIT 1", (shard,)
    ).fetchall()
    return bytes(found[0][0]) if found else b""


def cosigned(db: Session, shard: int) -> list[tuple[bytes, str]]:
    """The note and the line of the newest head that each witness cosigned."""
    return db.execute(
        "SELECT note, line FROM cosig JOIN ckpt USING (shard, size) JOIN"
        " (SELECT keyname, max(size) AS size FROM cosig WHERE shard = %(shard)s GROUP BY keyname) AS newest"
        " USING (keyname, size) WHERE shard = %(shard)s",
        {"shard": shard},
    ).fetchall()
