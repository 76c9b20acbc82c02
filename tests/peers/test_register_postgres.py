"""The register in a PostgreSQL database: the suite of every store, and what a server's is."""

from pathlib import Path

import pytest

from force_files import BROTHER, LONDON, NOW, REGISTER, write
from peers.postgres_server import PostgresServer
from purposegate.conflicts.register import read_register
from purposegate.conflicts.register_import import Feed, taking
from purposegate.conflicts.register_place import RegisterPlace
from purposegate.conflicts.register_postgres import PostgresConnection
from purposegate.errors import FactsOutage, ImportRefused, SettingsError
from register_suite import *  # noqa: F403  # every test of the suite
from register_suite import FRIEND
from registers import RULES, RegisterSite


@pytest.fixture
def site(tmp_path: Path, postgres: PostgresServer) -> RegisterSite:
    url = postgres.url(postgres.database())
    file = tmp_path / "register.url"
    file.write_text(url)
    file.chmod(0o600)
    place = RegisterPlace(path=None, url_file=file, key_file=tmp_path / "register.keys")
    return RegisterSite(tmp_path, place, lambda: PostgresConnection(url))


def test_a_lost_session_is_taken_up_anew(site: RegisterSite, postgres: PostgresServer) -> None:
    """A server that ended the session fails one lookup, as an outage, and no other."""
    site.take([BROTHER])
    register = site.load()
    postgres.execute(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'purposegate register'",
    )

    with pytest.raises(FactsOutage):
        register.entries_of("E1")
    assert ["r1"] == [one.id for one in register.entries_of("E1")]


def test_a_url_that_others_can_read_is_refused(site: RegisterSite) -> None:
    """It may hold a password."""
    (site.folder / "register.url").chmod(0o644)

    with pytest.raises(SettingsError, match="chmod 600"):
        site.place.open(create=True)


def test_a_gate_needs_to_read_and_nothing_else(site: RegisterSite, postgres: PostgresServer) -> None:
    """With the two grants of the page, and not with one of them; it can write nothing."""
    site.take([BROTHER])
    file = site.folder / "register.url"
    file.write_text(file.read_text().replace("postgres@", "gate@", 1))
    gate = site.place
    with pytest.raises(SettingsError):
        gate.open()
    site.execute(
        "GRANT USAGE ON SCHEMA purposegate_register TO gate",
        "GRANT SELECT ON ALL TABLES IN SCHEMA purposegate_register TO gate",
        "SELECT 1",
    )

    assert ["r1"] == [one.id for one in gate.open().load(RULES).entries_of("E1")]
    with pytest.raises(FactsOutage):
        site.take([FRIEND])


def test_a_second_import_waits_and_then_says_so(site: RegisterSite) -> None:
    """Two imports do not run beside each other; the later one is told to come back."""
    site.take([BROTHER])
    feed = Feed(name="register", source=write(site.folder / "r.csv", REGISTER, [BROTHER]), least_share=0.8)
    with (
        taking(site.store, feed, RULES, now=NOW, zone=LONDON),
        pytest.raises(FactsOutage, match="another import"),
    ):
        site.decide()


QUERY = """
url_file: register.url
query: SELECT no, who, tie, 'hr' AS how, name, born FROM people ORDER BY no
as_of: SELECT TIMESTAMPTZ '2026-11-20 08:00:00+00'
columns: {id: no, principal: who, relation: tie, provenance: how, names: name, born: born,
          addresses: none, phones: none, plates: none, records: none, valid_from: none, valid_to: none,
          known_from: none, declared_by: none}
"""


def test_a_feed_may_be_a_query(site: RegisterSite, postgres: PostgresServer) -> None:
    """Numbers and dates are taken as they are written; rows are named by their number."""
    database = (site.folder / "register.url").read_text().split("/@/")[-1].split("?")[0].rsplit("/", 1)[-1]
    postgres.execute(
        database,
        "CREATE TABLE public.people (no int, who text, tie text, name text, born date)",
        "INSERT INTO public.people VALUES (1, 'E1', 'sibling', 'Edmund|Archer', '1981-11-05'), (2, 'E2', 'cousin', 'A|B', NULL)",
    )
    file = site.folder / "feed.yaml"
    file.write_text(
        QUERY.replace("name, born FROM", "name, born, '' AS none FROM").replace(
            "FROM people", "FROM public.people"
        )
    )
    with pytest.raises(ImportRefused) as refused:
        read_register(file, RULES, now=NOW, zone=LONDON)
    postgres.execute(database, "UPDATE public.people SET tie = 'friend' WHERE no = 2")
    register = read_register(file, RULES, now=NOW, zone=LONDON)

    assert [(2, "relation")] == [(finding.line, finding.key) for finding in refused.value.findings]
    assert [("1", ("1981-11-05",))] == [(one.id, one.person.born) for one in register.entries_of("E1")]
    assert "2026-11-20T08:00:00+00:00" == register.as_of.isoformat()


def test_a_query_cannot_write(site: RegisterSite) -> None:
    """It runs as a cursor in a transaction that is read-only; whatever else it is, is refused."""
    file = site.folder / "feed.yaml"
    for statement in ("DELETE FROM pg_class RETURNING relname", "SELECT 1; DROP SCHEMA public", "VACUUM"):
        file.write_text(
            QUERY.replace("SELECT no, who, tie, 'hr' AS how, name, born FROM people ORDER BY no", statement)
        )
        with pytest.raises(ImportRefused) as refused:
            read_register(file, RULES, now=NOW, zone=LONDON)
        assert ["query"] == [finding.key for finding in refused.value.findings]
