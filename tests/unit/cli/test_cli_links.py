"""`purposegate links`: importing into the file that the settings name, and saying what is there."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from force_files import POLICIES, write
from purposegate import cli
from purposegate.errors import ImportRefused, SettingsError
from purposegate.facts.links_reading import COLUMNS
from purposegate.link_sources import open_links, postgres_url
from purposegate.settings import LinksSettings, load

pytestmark = pytest.mark.anyio

LINK = {
    "source_kind": "staff",
    "source_id": "E1",
    "relation": "assigned",
    "target_kind": "case",
    "target_id": "CR/1/26",
}


def _settings(tmp_path: Path, links: dict[str, Any] | None) -> Path:
    facts: dict[str, Any] = {
        name: f"{name}.csv"
        for name in ("directory", "register", "references", "assignments", "reference_records", "duty")
    }
    if links is not None:
        facts["links"] = links
    content = {
        "policies": str(POLICIES),
        "ledger": {"path": "ledger.db", "origin": "north.example/purposegate/links"},
        "identity": {
            "jwt": {"issuer": "https://id.example", "audience": "a", "algorithms": ["ES256"], "jwks": "k"},
            "roles": {"Detective": "investigator"},
        },
        "facts": facts,
    }
    path = tmp_path / "purposegate.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(content, file)
    return path


def _run(*words: str | Path) -> str:
    done = CliRunner().invoke(cli.purposegate, ["links", *map(str, words)])
    if done.exception:
        raise done.exception
    return done.output


def test_links_are_imported_and_shown(tmp_path: Path) -> None:
    """Their number and when they were true; what is there is replaced whole."""
    settings = _settings(tmp_path, {"file": "links.db"})
    source = write(tmp_path / "links.csv", COLUMNS, [LINK, {**LINK, "target_id": "CR/2/26"}, LINK])
    said = "2 links, as of 2026-11-20T09:00:00+00:00\n"

    assert said == _run("import", source, "--settings", settings)
    assert _run("show", "--settings", settings).startswith(said)


def test_a_faulty_file_changes_nothing(tmp_path: Path) -> None:
    """Refused by line and column, and the links stay as they were."""
    settings = _settings(tmp_path, {"file": "links.db"})
    _run("import", write(tmp_path / "links.csv", COLUMNS, [LINK]), "--settings", settings)
    before = (tmp_path / "links.db").read_bytes()
    faulty = write(tmp_path / "faulty.csv", COLUMNS, [LINK, {**LINK, "relation": "Is On"}])

    with pytest.raises(ImportRefused, match=r"faulty\.csv:4: relation"):
        _run("import", faulty, "--settings", settings)
    assert before == (tmp_path / "links.db").read_bytes()


@pytest.mark.parametrize("links", [None, {"endpoint": "https://facts.example/links"}])
def test_there_must_be_somewhere_to_import_to(tmp_path: Path, links: dict[str, Any] | None) -> None:
    """An endpoint has its own links."""
    source = write(tmp_path / "links.csv", COLUMNS, [LINK])

    with pytest.raises(SettingsError, match=r"facts\.links"):
        _run("import", source, "--settings", _settings(tmp_path, links))


@pytest.mark.parametrize(
    "links",
    [
        {},
        {"file": "a", "endpoint": "https://facts.example"},
        {"file": "a", "cache_s": 3},
        {"url": "mysql://a/b"},
        {"endpoint": "http://facts.example/links"},
        {"endpoint": "https://facts.example/links?principal=x"},
        {"endpoint": "https://user:secret@facts.example/links"},
        {"endpoint": "https://facts.example/links", "deadline_s": 0},
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, links: dict[str, Any]) -> None:
    """One place, in the open only on this host, and no secret in sight."""
    with pytest.raises(SettingsError) as refused:
        load(_settings(tmp_path, links))

    assert "secret" not in str(refused.value)


def _links(tmp_path: Path, **links: Any) -> LinksSettings:
    chosen = load(_settings(tmp_path, links)).facts.links
    assert chosen
    return chosen


async def test_each_place_has_its_source(tmp_path: Path) -> None:
    """A file is read at once; a database and an endpoint are asked when somebody looks."""
    _run(
        "import",
        write(tmp_path / "links.csv", COLUMNS, [LINK]),
        "--settings",
        _settings(tmp_path, {"file": "l.db"}),
    )
    found = []
    for links in ({"file": "l.db"}, {"url": "postgresql:///links"}, {"endpoint": "https://facts.example/l"}):
        (source,) = await open_links(_links(tmp_path, **links))
        found.append(type(source).__name__)
        await source.aclose()

    assert ["SqliteSource", "PostgresSource", "HttpSource"] == found
    assert () == await open_links(None)


async def test_what_a_source_needs_must_be_there(tmp_path: Path) -> None:
    """A file not made yet, a token that others can read, authorities that are none."""
    (tmp_path / "token").write_text("t", encoding="utf-8")
    (tmp_path / "token").chmod(0o644)
    endpoint = {"endpoint": "https://facts.example/l"}
    for links in ({"file": "none.db"}, {**endpoint, "token_file": "token"}, {**endpoint, "ca": "none.pem"}):
        with pytest.raises(SettingsError):
            await open_links(_links(tmp_path, **links))


def test_a_password_stands_in_a_file_of_its_own(tmp_path: Path) -> None:
    """The settings are read by many."""
    (tmp_path / "url").write_text("postgresql://gate:secret@db/links\n", encoding="utf-8")
    (tmp_path / "url").chmod(0o600)

    assert "postgresql://gate:secret@db/links" == postgres_url(_links(tmp_path, url_file="url"))
    with pytest.raises(SettingsError) as refused:
        postgres_url(_links(tmp_path, url="postgresql://gate:secret@db/links"))
    assert "secret" not in str(refused.value)
