"""Ids of lookups and of the gate's own entries: random UUIDs (RFC 9562 version 4), a system call for every 32 of them."""

import os

_AT_ONCE = 32
_pool: list[bytes] = []
# A forked worker must not hand out the ids that its parent, or another worker, hands out.
os.register_at_fork(after_in_child=_pool.clear)


def fresh_id() -> str:
    """An id nobody has had, 122 random bits, in a UUID's usual form. Safe from any thread and after a fork."""
    try:
        raw = _pool.pop()
    except IndexError:
        block = os.urandom(16 * _AT_ONCE)
        raw = block[:16]
        _pool.extend(block[place : place + 16] for place in range(16, len(block), 16))
    digits = raw.hex()
    variant = "89ab"[raw[8] & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
