"""purposegate.yaml, read once into one frozen object. Paths are relative to the file; unknown keys are errors.

No environment variable is read here or below: a setting has one place.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from purposegate.documents import Document, read
from purposegate.errors import Finding, PolicyError
from purposegate.model import Mode

DEFAULT_PDP_DEADLINE_S = 0.8
"""A search screen feels broken after a second; refusing later helps no one."""
DEFAULT_REFRESH_S = 5.0
DEFAULT_LEAST_SHARE = 0.8
"""A register that loses every fifth entry overnight has lost them in an export, not in life."""
DEFAULT_LINKS_S = 0.5
DEFAULT_ENDPOINT_S = 0.3
"""Longest waits for links, seconds: of a database, of an endpoint. A lookup waits at its first stage."""
DEFAULT_LINKS_CACHE_S = 30.0
DEFAULT_REFUSALS_PER_MINUTE = 60
DEFAULT_REFILL_PAGES = 50
DEFAULT_CURSOR_LIFETIME_S = 3600
DEFAULT_MINIMUM_FREE_MIB = 256
DEFAULT_WITNESS_EVERY_S = 2.0
"""The time in which an insider could rewrite unseen, against a request and a disk write at each witness."""
DEFAULT_MAX_UNWITNESSED_S = 900.0
DEFAULT_HAND_OVER = "/.purposegate/hand-overs"
DEFAULT_SUPERVISOR = "/.purposegate/approvals"
DEFAULT_STEP_UP_S = 300
"""Long enough to sign in and send a lookup again, too short to be left signed in."""
DEFAULT_HEADER = "Access-Purpose"
"""Not `Purpose` or `X-Purpose`: browsers send those when they prefetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """One witness: where it is asked, its verifier key, and for https the authorities that it is known by."""

    url: str
    key: str
    ca: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """Where the ledger stands (one of `path`, `url`, `url_file`), what it is called, and who witnesses it."""

    path: Path | None
    url: str = field(repr=False)
    url_file: Path | None
    origin: str
    key_file: Path | None
    minimum_free_mib: int
    monitor_without_ledger: bool
    witnesses: tuple[WitnessSettings, ...]
    policy_file: Path | None
    witness_every_s: float
    max_unwitnessed_s: float
    stop_when_unwitnessed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencySettings:
    """Who keeps the record: the force's name, and its originating agency identifier where it has one."""

    name: str
    ori: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PdpSettings:
    """Our own Cerbos (no address), or somebody else's."""

    address: str
    binary: Path | None
    runtime_dir: Path | None
    shared: bool
    deadline_s: float
    tls: Mapping[str, Path] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSettings:
    """What a bearer token must prove."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    jwks: Path | str
    id_claim: str
    roles_claim: str
    service_claim: str
    service_values: frozenset[str]
    leeway_s: int
    roles: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksSettings:
    """Where further links are: one of a generation file, a PostgreSQL database, an HTTP endpoint."""

    file: Path | None
    url: str = field(repr=False)
    url_file: Path | None
    endpoint: str
    token_file: Path | None
    ca: Path | None
    deadline_s: float
    cache_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSettings:
    """Where the register's store is: an SQLite file, or a database whose URL a file holds; and its keys."""

    path: Path | None
    url_file: Path | None
    key_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsSettings:
    """The force's own data, one file each, and further links. The register is a file that is only read, or a store.

    `push` says by feed which roles may push it; `decide_roles` may confirm and reject candidates.
    """

    directory: Path
    register: Path | RegisterSettings
    references: Path
    assignments: Path
    reference_records: Path
    duty: Path
    refresh_s: float
    links: LinksSettings | None = None
    least_share: float = DEFAULT_LEAST_SHARE
    decide_roles: frozenset[str] = frozenset()
    push: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUpSettings:
    """How people must have signed in for what weighs more: one of these `acr` values, at most so long ago."""

    acr_values: tuple[str, ...]
    max_age_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole file. `digest` is the SHA-256 of its bytes, hex."""

    path: Path
    digest: str
    policies: Path
    modes: Mapping[str, Mode]
    header: str
    regimes: tuple[str, ...]
    agency: AgencySettings
    ledger: LedgerSettings
    pdp: PdpSettings
    jwt: JwtSettings
    step_up: StepUpSettings | None
    review: Mapping[str, int]
    facts: FactsSettings
    hand_over: str
    supervisor: str
    refusals_per_minute: int
    refill_pages: int
    cursor_lifetime_s: int


def load(path: Path) -> Settings:
    """Read the file. Raises `PolicyError` with every fault, each with its line."""
    document = read(path, "settings")
    content = document.content
    if faults := list(_unknown_roles(document)):
        raise PolicyError(faults)
    home = path.resolve().parent
    limits = content.get("limits", {})
    return Settings(
        path=path.resolve(),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        policies=home / content["policies"],
        modes={kind: Mode(mode) for kind, mode in content.get("modes", {}).items()},
        header=content.get("declaration", {}).get("header", DEFAULT_HEADER),
        regimes=tuple(content.get("regime", ())),
        agency=AgencySettings(
            name=content.get("agency", {}).get("name", ""), ori=content.get("agency", {}).get("ori", "")
        ),
        ledger=_ledger(content["ledger"], home),
        pdp=_pdp(content.get("pdp", {}), home),
        jwt=_jwt(content["identity"], home),
        step_up=_step_up(content["identity"].get("step_up")),
        review=MappingProxyType({name: int(value) for name, value in content.get("review", {}).items()}),
        facts=_facts(content["facts"], home),
        hand_over=content.get("ways_forward", {}).get("hand_over", DEFAULT_HAND_OVER),
        supervisor=content.get("ways_forward", {}).get("supervisor", DEFAULT_SUPERVISOR),
        refusals_per_minute=limits.get("refusals_per_minute", DEFAULT_REFUSALS_PER_MINUTE),
        refill_pages=limits.get("refill_pages", DEFAULT_REFILL_PAGES),
        cursor_lifetime_s=limits.get("cursor_lifetime_s", DEFAULT_CURSOR_LIFETIME_S),
    )


def _unknown_roles(document: Document) -> Iterator[Finding]:
    """Roles that may push or decide and that nobody can have: a misspelt one would lock everybody out unseen."""
    facts, known = document.content["facts"], set(document.content["identity"]["roles"].values())
    named = [(["decide_roles"], facts.get("decide_roles", ()))]
    named += [(["push", feed], roles) for feed, roles in facts.get("push", {}).items()]
    for keys, roles in named:
        for place, role in enumerate(roles):
            if role not in known:
                yield document.finding(["facts", *keys, place], "a role that identity.roles gives somebody")


def _ledger(content: Mapping[str, Any], home: Path) -> LedgerSettings:
    return LedgerSettings(
        path=home / content["path"] if "path" in content else None,
        url=content.get("url", ""),
        url_file=home / content["url_file"] if "url_file" in content else None,
        origin=content["origin"],
        key_file=home / content["key_file"] if "key_file" in content else None,
        minimum_free_mib=content.get("minimum_free_mib", DEFAULT_MINIMUM_FREE_MIB),
        monitor_without_ledger=content.get("monitor_without_ledger", "refuse") == "pass",
        witnesses=tuple(
            WitnessSettings(url=one["url"], key=one["key"], ca=home / one["ca"] if "ca" in one else None)
            for one in content.get("witnesses", ())
        ),
        policy_file=home / content["policy_file"] if "policy_file" in content else None,
        witness_every_s=float(content.get("witness_every_s", DEFAULT_WITNESS_EVERY_S)),
        max_unwitnessed_s=float(content.get("max_unwitnessed_s", DEFAULT_MAX_UNWITNESSED_S)),
        stop_when_unwitnessed=content.get("when_unwitnessed", "record") == "stop",
    )


def _pdp(content: Mapping[str, Any], home: Path) -> PdpSettings:
    tls = content.get("tls")
    return PdpSettings(
        address=content.get("address", ""),
        binary=home / content["binary"] if "binary" in content else None,
        runtime_dir=home / content["runtime_dir"] if "runtime_dir" in content else None,
        shared=content.get("shared", False),
        deadline_s=float(content.get("deadline_s", DEFAULT_PDP_DEADLINE_S)),
        tls={name: home / value for name, value in tls.items()} if tls is not None else None,
    )


def _jwt(content: Mapping[str, Any], home: Path) -> JwtSettings:
    jwt = content["jwt"]
    jwks = str(jwt["jwks"])
    return JwtSettings(
        issuer=jwt["issuer"],
        audience=jwt["audience"],
        algorithms=tuple(jwt["algorithms"]),
        jwks=jwks if "://" in jwks else home / jwks,
        id_claim=jwt.get("id_claim", "sub"),
        roles_claim=jwt.get("roles_claim", "roles"),
        service_claim=jwt.get("service", {}).get("claim", ""),
        service_values=frozenset(jwt.get("service", {}).get("values", ())),
        leeway_s=jwt.get("leeway_s", 30),
        roles=dict(content["roles"]),
    )


def _step_up(content: Mapping[str, Any] | None) -> StepUpSettings | None:
    if content is None:
        return None
    return StepUpSettings(
        acr_values=tuple(content["acr_values"]), max_age_s=content.get("max_age_s", DEFAULT_STEP_UP_S)
    )


def _facts(content: Mapping[str, Any], home: Path) -> FactsSettings:
    files = ("directory", "references", "assignments", "reference_records", "duty")
    return FactsSettings(
        **{name: home / content[name] for name in files},
        register=_register(content, home),
        least_share=float(content.get("least_share", DEFAULT_LEAST_SHARE)),
        decide_roles=frozenset(content.get("decide_roles", ())),
        push={str(feed): frozenset(roles) for feed, roles in content.get("push", {}).items()},
        refresh_s=float(content.get("refresh_s", DEFAULT_REFRESH_S)),
        links=_links(content["links"], home) if "links" in content else None,
    )


def _register(content: Mapping[str, Any], home: Path) -> Path | RegisterSettings:
    if "register" in content:
        return home / str(content["register"])
    store = content["register_store"]
    path = home / store["path"] if "path" in store else None
    beside = path.with_name(path.name + ".keys") if path else home
    return RegisterSettings(
        path=path,
        url_file=home / store["url_file"] if "url_file" in store else None,
        key_file=home / store["key_file"] if "key_file" in store else beside,
    )


def _links(content: Mapping[str, Any], home: Path) -> LinksSettings:
    files = {
        name: home / content[name] if name in content else None
        for name in ("file", "url_file", "token_file", "ca")
    }
    is_asked = "endpoint" in content
    return LinksSettings(
        **files,
        url=content.get("url", ""),
        endpoint=content.get("endpoint", ""),
        deadline_s=float(content.get("deadline_s", DEFAULT_ENDPOINT_S if is_asked else DEFAULT_LINKS_S)),
        cache_s=float(content.get("cache_s", DEFAULT_LINKS_CACHE_S)),
    )
