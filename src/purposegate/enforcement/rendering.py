"""The gate's own pages as HTML: templates that escape everything, one style sheet, and no script at all.

What a page shows may hold a name, a reason or an address that somebody chose in order to break out of it. So the templates
escape by default, and the policy forbids whatever escaping could have missed (CSP Level 3): no script, no frame, no picture,
only the one style whose hash stands in the header.
"""

import hashlib
from base64 import b64encode
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from purposegate.enforcement.refusal import NO_STORE
from purposegate.exchange import Headers, Reply


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("purposegate.enforcement"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> str:
    return (resources.files("purposegate.enforcement") / "templates" / "style.css").read_text(
        encoding="utf-8"
    )


@cache
def html_headers() -> Headers:
    """The headers of every page: HTML, kept by nobody, shown in no frame, sending its forms to this host alone."""
    digest = b64encode(hashlib.sha256(_style().encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    return (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode("ascii")),
        (b"referrer-policy", b"same-origin"),
        (b"x-frame-options", b"DENY"),
        *NO_STORE,
    )


def page(template: str, *, status: int = 200, headers: Headers = (), **values: Any) -> Reply:
    """One page from its template. Every value is escaped; the style sheet is the gate's own."""
    given = {"errors": (), **values, "style": Markup(_style())}  # noqa: S704  a file of the package, hashed in the policy
    text = _environment().get_template(f"{template}.html").render(given)
    return Reply(status=status, headers=(*html_headers(), *headers), body=text.encode())
