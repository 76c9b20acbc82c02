"""Deleting clear text from a PostgreSQL ledger, as the role of retention."""

from collections.abc import Mapping, Sequence

import psycopg

from purposegate.errors import LedgerOutage
from purposegate.ledger import postgres_session as session
from purposegate.ledger.postgres_session import Address


def erase(address: Address, positions: Sequence[int], lowered: Mapping[tuple[bytes, int], int]) -> None:
    """Delete payloads and lower counters in one durable transaction. Raises LedgerOutage.

    The rows' bytes stay on the server's disk until it vacuums, and in its log's archives until those expire.
    """
    ordered = sorted(lowered.items())
    connection = session.connect(address, "retention")
    try:
        session.limit(connection)
        session.make_durable(connection, address)
        with connection.transaction():
            connection.execute("DELETE FROM payload WHERE pos = ANY(%s::bigint[])", (list(positions),))
            connection.execute(
                "UPDATE counter SET n = counter.n - e.n"
                " FROM unnest(%b::bytea[], %s::bigint[], %s::bigint[]) AS e (tok, shard, n)"
                " WHERE counter.tok = e.tok AND counter.shard = e.shard",
                (
                    [token for (token, _), _ in ordered],
                    [shard for (_, shard), _ in ordered],
                    [n for _, n in ordered],
                ),
            )
            connection.execute("DELETE FROM counter WHERE n <= 0")
    except psycopg.Error as error:
        raise LedgerOutage(
            f"{address}: the payloads are still there ({type(error).__name__}); ask again, under a role of retention"
        ) from error
    finally:
        connection.close()
