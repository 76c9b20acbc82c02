"""The README's lines of embedding are the demo's own."""

from docs_blocks import ROOT, blocks


def test_embedding_is_the_demos() -> None:
    """The README's one python block is demo/app.py, its docstring aside."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [shown] = [each.text for each in blocks("README.md", readme) if each.language == "python"]
    app = (ROOT / "demo" / "app.py").read_text(encoding="utf-8")

    assert app.partition('"""\n\n')[2] == shown
