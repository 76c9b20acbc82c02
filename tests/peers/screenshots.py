"""`make screenshots`: the pictures of the page to declare on, for docs/."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from peers.browser_site import Site, browsing, serving_site, sign_in

WIDTH = 640
REASON = "Preparing the witness list for the hearing on Thursday"


def take(page: Page, path: Path, *, height: int = 0) -> None:
    """The whole page, as wide as a column of text; or the top of it."""
    clip = {"x": 0.0, "y": 0.0, "width": float(WIDTH), "height": float(height)}
    page.screenshot(path=str(path), full_page=True, clip=clip if height else None)  # type: ignore[arg-type] # its own dict
    print(path, path.stat().st_size, "bytes")  # noqa: T201


def shots(site: Site, docs: Path) -> None:
    """Asked, with faults, the declarations that are open, and refused."""
    with browsing() as browser:
        context = sign_in(browser, site, who="T1004", role="Paralegal")
        page = context.new_page()
        page.set_viewport_size({"width": WIDTH, "height": 400})
        page.goto(site.explained)
        take(page, docs / "declare.png")
        page.get_by_label("Prosecution file").check()
        page.get_by_label("Reason", exact=True).fill("checks")
        page.get_by_role("button", name="Declare").click()
        take(page, docs / "declare-errors.png", height=820)
        page.get_by_label("Reason", exact=True).fill(REASON)
        page.get_by_label("I have read what the purpose").check()
        page.get_by_role("button", name="Declare").click()
        context.close()
        context = sign_in(browser, site)
        page = context.new_page()
        page.set_viewport_size({"width": WIDTH, "height": 400})
        page.goto(site.record(site.world.cast.relative))
        page.get_by_label("Allocated investigation").check()
        page.get_by_label("Reason", exact=True).fill(REASON)
        page.get_by_label("I have read what the purpose").check()
        page.get_by_role("button", name="Declare").click()
        take(page, docs / "refused.png")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home, serving_site(Path(home)) as served:
        shots(served, Path(sys.argv[1]))
