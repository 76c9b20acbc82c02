"""A web application that knows nothing of the gate, behind one, over TLS, and a headless Chromium to walk it with."""

import datetime as dt
import ipaddress
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from datasette.app import Datasette
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from ruamel.yaml import YAML
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Mount, Route

from demo.force import build_records_system
from gates import World, build_world, copied_policies
from purposegate import PurposeGateMiddleware, load_gate

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_MS = 10_000
"""Until an element that is not there fails the test; what is there is used at once."""
DESK = {"width": 900, "height": 1100}


def chromium() -> str:
    """Where Chromium is; `make` found or installed it."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise FileNotFoundError("Chromium is missing: on Debian and Ubuntu, apt-get install chromium")


ROLES = {
    "Detective": "investigator",
    "Constable": "officer",
    "Paralegal": "paralegal",
    "Records": "records_admin",
}


@dataclass(frozen=True, slots=True)
class Site:
    """The application behind its gate, and what came through to it by POST."""

    url: str
    world: World
    posted: list[Mapping[str, str]]

    def record(self, number: str) -> str:
        """The page of a true person's record."""
        return f"{self.url}{self.world.path(number, '')}"

    @property
    def explained(self) -> str:
        """A record that CR/1042/26 names."""
        return self.record(self.world.cast.suspect)

    def unexplained(self, number: int = 300) -> str:
        """A record that nothing explains."""
        return self.record(list(self.world.both.records)[number])

    @property
    def note_form(self) -> str:
        """A form of the application: a note on the suspect's record."""
        return f"{self.url}/note-form"


def _application(world: World, posted: list[Mapping[str, str]]) -> Starlette:
    """Datasette, and a form for notes beside it; neither has heard of purposes."""
    build_records_system(world.home / "people.db", world.both.records.values())
    suspect = world.path(world.cast.suspect, "")

    async def form(_: Request) -> HTMLResponse:
        return HTMLResponse(
            f'<!doctype html><html lang="en"><title>Note</title><form method="post" action="{suspect}/note">'
            '<label for="text">Note</label><textarea id="text" name="text"></textarea>'
            '<input name="kind" value="call &amp; &lt;visit&gt;"><button>Save</button></form></html>'
        )

    async def note(request: Request) -> RedirectResponse:
        async with request.form() as sent:
            posted.append({name: str(value) for name, value in sent.items()})
        return RedirectResponse(suspect, status_code=303)

    make: Any = Datasette
    datasette = make([str(world.home / "people.db")], settings={"num_sql_threads": 1}).app()
    routes = [
        Route("/note-form", form),
        Route(f"{suspect}/note", note, methods=["POST"]),
        Mount("/", datasette),
    ]
    return Starlette(routes=routes)


def _policies(world: World) -> Path:
    """The shipped policies, and routes for the form."""
    folder = copied_policies(world.home / "policies")
    yaml = YAML()
    content = yaml.load((folder / "records.yaml").read_text(encoding="utf-8"))
    content["open"].append({"methods": ["GET"], "path": "/note-form"})
    page = next(route for route in content["routes"] if route["name"] == "person-page")
    content["routes"].append(
        {
            "name": "person-note",
            "methods": ["POST"],
            "path": "/people/person/{id}/note",
            "action": "edit",
            "kind": "person",
            "response": page["response"],
        }
    )
    with (folder / "records.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    return folder


def _ticket(world: World) -> None:
    """A data quality ticket, assigned to somebody who mends records."""
    for name, line in (
        ("references.csv", "DQ/150/26,ticket,open,2020-01-01,"),
        ("assignments.csv", "DQ/150/26,T1003,2020-01-01,"),
        ("reference_records.csv", f"DQ/150/26,person,{world.both.record_id(world.cast.suspect)}"),
    ):
        with (world.home / name).open("a", encoding="utf-8", newline="") as file:
            file.write(f"{line}\n")


def _certificate(home: Path) -> tuple[Path, Path]:
    """A key and a certificate of its own for localhost, which the browser is told to take."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = home / "tls.key", home / "tls.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return key_file, certificate_file


@contextmanager
def serving_site(home: Path) -> Iterator[Site]:
    """The whole of it, on a free port of this machine."""
    world, posted = build_world(home), list[Mapping[str, str]]()
    _ticket(world)
    changes: Mapping[str, Any] = {"policies": str(_policies(world)), "identity": {"roles": ROLES}}
    settings = world.settings("site.yaml", **changes)
    app = PurposeGateMiddleware(_application(world, posted), gate=load_gate(settings))
    key_file, certificate_file = _certificate(home)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            ssl_keyfile=str(key_file),
            ssl_certfile=str(certificate_file),
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Site(f"https://localhost:{listening.getsockname()[1]}", world, posted)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def browsing() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-lcd-text"]
        )
        try:
            yield browser
        finally:
            browser.close()


def sign_in(
    browser: Browser, site: Site, who: str = "T1001", role: str = "Detective", *, scripts: bool = True
) -> BrowserContext:
    """A browser of its own for one member of staff, as a proxy that ends single sign-on would pass it on."""
    token = site.world.issuer.token(who, role, sid=f"{who} at the desk")
    context = browser.new_context(
        extra_http_headers={"authorization": f"Bearer {token}"},
        ignore_https_errors=True,
        java_script_enabled=scripts,
        viewport={"width": DESK["width"], "height": DESK["height"]},
    )
    context.set_default_timeout(PATIENCE_MS)
    return context
