"""Figures land in one file, each owned by one question, and the runner reports what failed."""

import json
from pathlib import Path

import pytest

from benchmarks import run, summary


def merged(path: Path) -> dict[str, float]:
    """The flat map of figures."""
    figures: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return figures


def test_figures_stand_beside_what_they_were_measured_on(tmp_path: Path) -> None:
    """The summary names machine, versions, commit and date beside a flat map."""
    path = tmp_path / "summary.json"
    summary.merge({"embedded.rps_ratio_bare.c32": 0.5}, question="embedded", path=path)
    written = json.loads(path.read_text(encoding="utf-8"))

    assert {"embedded.rps_ratio_bare.c32": 0.5} == written["figures"]
    assert {"machine", "versions", "commit", "date", "figures", "runs"} == set(written)
    assert {"cpu", "cores", "memory_gib", "kernel", "python"} == set(written["machine"])
    assert "0.55.0" == written["versions"]["cerbos-pdp"]


def test_questions_keep_each_others_figures(tmp_path: Path) -> None:
    """A second question adds to the map; a question asked again replaces all that it had put there."""
    path = tmp_path / "summary.json"
    summary.merge({"one.a": 1, "one.b": 2}, question="one", path=path)
    summary.merge({"two.a": 3}, question="two", path=path)
    summary.merge({"one.a": 4}, question="one", path=path)

    assert {"one.a": 4, "two.a": 3} == merged(path)


WRONG = {
    "nan": {"one.a": float("nan")},
    "infinite": {"one.a": float("inf")},
    "no dot": {"one": 1.0},
    "spaces": {"one.a b": 1.0},
    "upper case": {"one.A": 1.0},
    "another's": {"two.a": 1.0},
}


@pytest.mark.parametrize("figures", WRONG.values(), ids=WRONG)
def test_wrong_figures_change_nothing(figures: dict[str, float], tmp_path: Path) -> None:
    """A figure that is no number, is misnamed or is another question's leaves the file as it was."""
    path = tmp_path / "summary.json"
    summary.merge({"two.a": 3}, question="two", path=path)
    before = path.read_bytes()

    with pytest.raises(ValueError, match=r"one|two"):
        summary.merge(figures, question="one", path=path)
    assert before == path.read_bytes()


def test_unknown_benchmark_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A benchmark that does not exist is an error that lists those that do."""
    assert 2 == run.main(["nothing"])
    assert "embedded" in capsys.readouterr().err


def test_failed_benchmark_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others still run, and the exit status tells."""
    package = tmp_path / "benchmarks"
    package.mkdir()
    (package / "bench_bad.py").write_text("raise SystemExit(3)", encoding="utf-8")
    (package / "bench_good.py").write_text("open('ran', 'w').close()", encoding="utf-8")
    monkeypatch.setattr(run, "HERE", package)

    assert 1 == run.main([])
    assert (tmp_path / "ran").exists()
