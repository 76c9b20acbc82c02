"""The policies in use: their digest, their copy, and what is read off them."""

import hashlib
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cerbos_world import POLICIES, policy, rule, write
from purposegate.decision import bundle, policies_digest
from purposegate.errors import PolicyError

OPEN = policy("record", rule("open", "ALLOW"))
TREES = st.dictionaries(st.text("ab/", min_size=1, max_size=4), st.binary(max_size=6), max_size=4)


def test_the_digest_is_that_of_its_definition() -> None:
    """SHA-256 over a domain and, in order of path, each path and content with its length in eight bytes."""
    parts = [b"a.yaml", b"one", b"b/c.yaml", b""]
    encoded = b"purposegate-policies-v1\0" + b"".join(len(part).to_bytes(8, "big") + part for part in parts)

    assert hashlib.sha256(encoded).hexdigest() == bundle.digest_of({"b/c.yaml": b"", "a.yaml": b"one"})


@given(TREES, TREES)
def test_two_trees_share_a_digest_only_if_they_are_one(one: dict[str, bytes], two: dict[str, bytes]) -> None:
    """Moving a byte between a path, a content and its neighbour changes the digest."""
    assert (one == two) is (bundle.digest_of(one) == bundle.digest_of(two))


def test_only_what_decides_is_hashed(tmp_path: Path) -> None:
    """Tests, fixtures, notes and hidden files change no decision, so they change no digest."""
    before = policies_digest(write(tmp_path, {"a.yaml": OPEN, "_schemas/s.json": "{}"}))
    write(
        tmp_path,
        {
            "README.md": "x",
            "tests/a_test.yaml": "x",
            "tests/testdata/principals.yaml": "x",
            ".hidden/b.yaml": "x",
            ".c.yaml": "x",
        },
    )

    assert before == policies_digest(tmp_path)


@pytest.mark.parametrize("changed", ["a.yaml", "_schemas/s.json", "new.yml", "deep/er.json"])
def test_whatever_decides_is_hashed(tmp_path: Path, changed: str) -> None:
    """A changed or added policy or schema changes the digest."""
    before = policies_digest(write(tmp_path, {"a.yaml": OPEN, "_schemas/s.json": "{}"}))
    write(tmp_path, {changed: " "})

    assert before != policies_digest(tmp_path)


def test_the_copy_is_the_policies_and_the_canaries(tmp_path: Path) -> None:
    """The copy stands under its digest, byte for byte what was hashed, with the canaries beside it."""
    read = bundle.read(POLICIES)
    copied = bundle.place(read, tmp_path)
    again = {str(path.relative_to(copied)): path.read_bytes() for path in copied.rglob("*") if path.is_file()}

    assert read.digest == copied.name
    assert dict(read.files) | bundle.canary_files() == again
    assert copied == bundle.place(read, tmp_path)


def test_a_copy_that_was_cut_short_or_lost_a_file_is_made_anew(tmp_path: Path) -> None:
    """What a killed process left half-written, or a cleaner took a file of, is never served."""
    read = bundle.read(POLICIES)
    write(tmp_path / f".{read.digest}", {"half": "written"})
    copied = bundle.place(read, tmp_path)
    (copied / "resource_policies" / "record.yaml").unlink()
    again = bundle.place(read, tmp_path)

    assert [copied] == list(tmp_path.iterdir())
    assert (again / "resource_policies" / "record.yaml").is_file()
    assert not (again / "half").exists()


def test_a_symlinked_directory_of_policies_is_followed(tmp_path: Path) -> None:
    """Mounted configuration comes as symbolic links; what they lead to is read."""
    real = write(tmp_path / "real", {"a.yaml": OPEN})
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "in").symlink_to(real)

    assert {"in/a.yaml"} == set(bundle.read(tmp_path / "policies").files)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({}, 1),
        ({"_schemas/s.json": "{}"}, 1),
        ({"a.yaml": "a: 1\nb: [\n"}, 3),
        ({"a.yaml": "a: 1\n--- \nb: 2\n"}, 2),
    ],
    ids=["empty", "schemas-alone", "unfinished", "two-documents"],
)
def test_what_is_no_set_of_policies_is_named(tmp_path: Path, files: dict[str, str], line: int) -> None:
    """An empty directory and files that are not one YAML document are errors with a line."""
    with pytest.raises(PolicyError) as caught:
        bundle.read(write(tmp_path, files))

    assert line == caught.value.findings[0].line


@pytest.mark.parametrize("name", sorted(bundle.canary_files()))
def test_the_canaries_cannot_be_replaced(tmp_path: Path, name: str) -> None:
    """A policy in the place of a canary is refused: it would prove a Cerbos fit that is not."""
    with pytest.raises(PolicyError, match="canaries"):
        bundle.read(write(tmp_path, {"a.yaml": OPEN, name: "{}"}))


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """Policies that are not there are an error, never an empty set."""
    with pytest.raises(PolicyError):
        policies_digest(tmp_path / "nowhere")


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    """A file past the cap is named, not loaded."""
    write(tmp_path, {"a.yaml": "#" * (bundle.MAX_FILE_BYTES + 1)})
    with pytest.raises(PolicyError, match="at most"):
        bundle.read(tmp_path)


@pytest.mark.parametrize(
    ("expression", "reads"),
    [
        ('R.id == "x"', True),
        ('R . id == "x"', True),
        ('request.resource.id == "x"', True),
        ('R["id"] == "x"', True),
        ("request['resource'].id == 'x'", True),
        ("[R].size() == 1", True),
        ("request == request", True),
        ("R == R", True),
        ("`", True),
        ('P.id == "x"', False),
        ('R.attr.id == "x"', False),
        ('R.kind == "id"', False),
    ],
)
def test_whether_record_ids_are_read(tmp_path: Path, expression: str, reads: bool) -> None:
    """Record ids are sent as soon as any expression could read one."""
    write(tmp_path, {"a.yaml": policy("record", rule("open", "ALLOW", expr=expression))})

    assert reads is bundle.read(tmp_path).reads_record_ids


def test_allow_rules_are_those_of_enabled_resource_policies(tmp_path: Path) -> None:
    """Deny rules, disabled policies, names a deny rule shares, and rules that speak when they do not hold never accept."""
    shared = rule("same", "ALLOW")
    unmet = {**rule("unmet", "ALLOW", expr="P.attr.on_duty"), "output": {"when": {"conditionNotMet": "{}"}}}
    write(
        tmp_path,
        {
            "a.yaml": policy("record", rule("open", "ALLOW"), rule("shut", "DENY"), rule("", "ALLOW"), unmet),
            "b.yaml": policy("a-b", shared),
            "c.yaml": policy("a:b", {**shared, "effect": "EFFECT_DENY"}),
            "d.yaml": policy("other", rule("off", "ALLOW")).replace('{"api', '{"disabled": true, "api'),
        },
    )

    assert {"resource.record.vdefault#open", "resource.record.vdefault#rule-003"} == bundle.read(
        tmp_path
    ).allow_rules


@pytest.mark.parametrize(
    ("path", "loaded"),
    [
        ("a.yaml", True),
        ("a.yml", True),
        ("a.json", True),
        ("x/y/a.yaml", True),
        ("a_test.yaml", False),
        ("a.txt", False),
        ("testdata/a.yaml", False),
        (".a.yaml", False),
    ],
)
def test_what_decides(path: str, loaded: bool) -> None:
    """Policies and schemas decide; tests, fixtures and the rest do not."""
    assert loaded is bundle.decides(PurePosixPath(path))
