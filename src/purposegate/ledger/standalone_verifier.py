#!/usr/bin/env python3
"""Check a purposegate proof bundle, offline, with Python's standard library alone. Python 3.10 or newer; nothing to install.

    python3 standalone_verifier.py BUNDLE.json --log 'force.police.uk/purposegate/hq/shard-0+1a2b3c4d+AQ...' \
        [--witness 'witness.example.org+...']...

Get the log's key, and the witnesses', from somebody you trust other than whoever gave you the bundle. Exit 0: the entry stands
in the log that this key signed, was seen by every witness named, and says what is printed. 1: it does not. 3: usage.

It shares no code with the rest of purposegate. Formats: docs/ledger-format.md; RFC 6962, RFC 8032, RFC 9901; C2SP signed-note,
tlog-checkpoint, tlog-cosignature, tlog-proof.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Ed25519, RFC 8032 section 5.1: verification only, so nothing here need run in constant time.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
KEY_BYTES, SIGNATURE_BYTES, TIME_BYTES, ID_BYTES, HASH_BYTES = 32, 64, 8, 4, 32
LOG_KEY, WITNESS_KEY = 0x01, 0x04
MAX_SIZE, MAX_DIGITS = 2**63, 19

Point = tuple[int, int, int, int]


class Refuted(Exception):
    """The bundle does not show what it claims."""


def need(holds: object, why: str) -> None:
    """Raise Refuted unless something holds."""
    if not holds:
        raise Refuted(why)


def add(one: Point, two: Point) -> Point:
    """The sum of two points, RFC 8032 section 5.1.4."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = one, two
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, point: Point) -> Point:
    """A point times a scalar, by doubling."""
    product = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            product = add(product, point)
        point, scalar = add(point, point), scalar >> 1
    return product


def decompress(raw: bytes) -> Point:
    """The point that 32 bytes name, RFC 8032 section 5.1.3; one spelling only."""
    whole = int.from_bytes(raw, "little")
    sign, y = whole >> 255, whole & (2**255 - 1)
    need(y < P, "a point is not canonical")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    need((x * x - square) % P == 0 and not (x == 0 and sign), "a point is not on the curve")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(KEY_BYTES, "little"))


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is this key's over the message, RFC 8032 section 5.1.7, without the cofactor."""
    if len(signature) != SIGNATURE_BYTES or len(public) != KEY_BYTES:
        return False
    try:
        key, r = decompress(public), decompress(signature[:KEY_BYTES])
    except Refuted:
        return False
    s = int.from_bytes(signature[KEY_BYTES:], "little")
    if s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:KEY_BYTES] + public + message).digest(), "little") % L
    left, right = multiply(s, BASE), add(r, multiply(h, key))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def b64(text: str) -> bytes:
    """Standard base64 in its one spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refuted("want base64") from error
    need(base64.b64encode(raw).decode() == text, "base64 has one spelling")
    return raw


def b64url(text: str) -> bytes:
    """Base64url without padding, in its one spelling."""
    need(not set("+/=") & set(text), "want base64url without padding")
    return b64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


def printable(text: Any) -> str:
    """A text that stays on its line: a log could else have us print a line of its own making, such as a witness's."""
    need(isinstance(text, str) and text.isprintable(), "a name or value holds what cannot be printed")
    return str(text)


def whole(number: Any) -> int:
    """A JSON integer within the bounds of a tree; neither true nor 1.0 is one."""
    need(type(number) is int and 0 <= number < MAX_SIZE, "want a whole number below 2**63")
    return int(number)


def decimal(text: str) -> int:
    """A decimal without sign, space or leading zero."""
    need(
        len(text) <= MAX_DIGITS and text.isascii() and text.isdigit() and (text == "0" or text[0] != "0"),
        "want a decimal",
    )
    need(int(text) < MAX_SIZE, "want a decimal below 2**63")
    return int(text)


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node, RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf, RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def root_from(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an audit path leads to, RFC 9162 section 2.1.3.2."""
    need(0 <= index < size and all(len(each) == HASH_BYTES for each in path), "the proof is malformed")
    here, last, found = index, size - 1, leaf
    for sibling in path:
        need(last, "the proof is too long")
        if here & 1 or here == last:
            found = node(sibling, found)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            found = node(found, sibling)
        here, last = here >> 1, last >> 1
    need(last == 0, "the proof is too short")
    return found


def read_key(vkey: str) -> tuple[str, bytes, int, bytes]:
    """Name, id, type and key of `<name>+<8 hex digits>+<base64(type || key)>`; base64 may hold a plus."""
    parts = vkey.split("+", 2)
    need(len(parts) == 3, "a key is <name>+<id>+<base64>")  # noqa: PLR2004  # as it says
    raw = b64(parts[2])
    need(len(raw) == 1 + KEY_BYTES, "want an Ed25519 key")
    identity = hashlib.sha256(parts[0].encode() + b"\n" + raw).digest()[:ID_BYTES]
    need(identity.hex() == parts[1], "the key's id does not belong to its name and key")
    return parts[0], identity, raw[0], raw[1:]


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are each there once: of two, readers differ in which one they show."""
    found = dict(pairs)
    need(len(found) == len(pairs), "a key is given twice")
    return found


def require_signed(text: str, lines: Sequence[str], vkey: str, kind: int) -> int:
    """The time of a witness's cosignature, 0 for a log's, once this key's signature on the note text is verified."""
    name, identity, found, public = read_key(vkey)
    need(found == kind, "a log's key has type 1, a witness's type 4")
    at = None
    for line in lines:
        dash, _, rest = line.partition(" ")
        who, _, blob = rest.partition(" ")
        need(dash == "\u2014" and who and len(b64(blob)) > ID_BYTES, "a line below the head is no signature")
        if who != name or b64(blob)[:ID_BYTES] != identity:
            continue
        signature = b64(blob)[ID_BYTES:]
        if kind == LOG_KEY:
            need(ed25519_verifies(public, text.encode(), signature), "the log's signature is bad")
            at = 0
        else:
            need(len(signature) == TIME_BYTES + SIGNATURE_BYTES, "a cosignature has a time and a signature")
            seen = int.from_bytes(signature[:TIME_BYTES], "big")
            message = f"cosignature/v1\ntime {seen}\n{text}".encode()
            need(ed25519_verifies(public, message, signature[TIME_BYTES:]), "the witness's signature is bad")
            at = max(at or 0, seen)
    if at is None:
        raise Refuted(f"not signed by {name}")
    return at


def read_proof(text: str) -> tuple[int, list[bytes], str, list[str]]:
    """Index, audit path, note text and signature lines of a c2sp.org/tlog-proof@v1."""
    head, gap, note = text.partition("\n\n")
    title, *rows = head.split("\n")
    need(gap and title == "c2sp.org/tlog-proof@v1", "not a tlog-proof")
    rows = rows[1:] if rows and rows[0].startswith("extra ") else rows
    need(rows and rows[0].startswith("index "), "the proof has no index")
    above, gap, signatures = note.rpartition("\n\n")
    need(gap and signatures.endswith("\n"), "not a signed note")
    index = decimal(rows[0].removeprefix("index "))
    return index, [b64(each) for each in rows[1:]], above + "\n", signatures[:-1].split("\n")


def check(bundle: dict[str, Any], log: str, witnesses: Sequence[str]) -> list[str]:
    """What the bundle shows, as lines to print. Raises Refuted."""
    need(whole(bundle["purposegate_proof"]) == 1, "this verifier knows version 1")
    leaf = bundle["leaf"].encode()
    index, path, text, lines = read_proof(bundle["tlog_proof"])
    origin, size, root, *_ = text[:-1].split("\n")
    need(origin == read_key(log)[0], "this proof is of another log")
    require_signed(text, lines, log, LOG_KEY)
    found = root_from(leaf_hash(leaf), index, decimal(size), path)
    need(found == b64(root), "the entry is not under the signed root")
    shown = [f"entry {index} of {origin}, in a head of {size} entries"]
    for vkey in witnesses:
        at = require_signed(text, lines, vkey, WITNESS_KEY)
        shown.append(f"seen by {read_key(vkey)[0]} at POSIX second {at}")
    body = json.loads(leaf, object_pairs_hook=once)
    again = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    need(again.encode() == leaf, "the leaf is not in its one spelling")
    need(whole(body["v"]) == 1 and body["_sd_alg"] == "sha-256", "this verifier knows leaves of version 1")
    kind, when, outcome, lookup = (printable(body[key]) for key in "ktdr")
    shown.append(f"{kind} at {when}: {outcome}, lookup {lookup}")
    return shown + disclosed(bundle, body["_sd"])


def disclosed(bundle: dict[str, Any], digests: Sequence[str]) -> list[str]:
    """The fields and rows disclosed, as lines to print. Raises Refuted for any that the leaf does not commit to."""
    shown: list[str] = []
    rows: Any = None
    for text in bundle["disclosures"]:
        digest = hashlib.sha256(text.encode()).digest()
        written = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        need(written in digests, "the leaf does not commit to a disclosure")
        _, name, value = json.loads(b64url(text), object_pairs_hook=once)
        rows = value if name == "rows" else rows
        shown.append(f"  {printable(name)} = {json.dumps(value)}")
    for each in bundle["rows"]:
        need(rows is not None, "a row is shown without the commitment to the rows")
        leaf = leaf_hash(hashlib.sha256(each["row"].encode()).digest())
        index, size = whole(each["index"]), whole(rows["size"])
        found = root_from(leaf, index, size, [b64url(sibling) for sibling in each["proof"]])
        need(found == b64url(rows["root"]), "a row is not one of those committed to")
        shown.append(
            f"  row {index} = {json.dumps(json.loads(b64url(each['row']), object_pairs_hook=once)[1])}"
        )
    return shown


def main(words: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="Check a purposegate proof bundle.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--log", required=True, metavar="VKEY", help="the log's verifier key")
    parser.add_argument(
        "--witness", action="append", default=[], metavar="VKEY", help="a witness that must have seen it"
    )
    try:
        asked = parser.parse_args(words)
    except SystemExit as error:
        return 3 if error.code else 0
    try:
        lines = check(json.loads(asked.bundle.read_bytes(), object_pairs_hook=once), asked.log, asked.witness)
    except OSError as error:
        sys.stdout.write(f"cannot read the bundle: {error.strerror}\n")
        return 3
    except Refuted as error:
        sys.stdout.write(f"NOT PROVED: {error}\n")
        return 1
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        sys.stdout.write("NOT PROVED: the bundle is malformed\n")
        return 1
    sys.stdout.write("PROVED: " + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
