"""records.yaml, loaded: every request is a mapped lookup, open, or refused with its reason. Silence refuses (law 2)."""

from dataclasses import dataclass
from pathlib import Path

from purposegate.errors import RouteRefused
from purposegate.exchange import Request
from purposegate.model import RecordRef
from purposegate.reasons import Reason
from purposegate.records.match import RouteMatch
from purposegate.records.paths import (
    Pairs,
    canonical_path,
    read_query,
    refuse_method_parameters,
    refuse_overrides,
)
from purposegate.records.reading import Contents, read_contents
from purposegate.records.redirects import Named
from purposegate.records.routes import METHODS_WITHOUT_BODY, Route, plain_method


@dataclass(frozen=True, slots=True)
class Mapping:
    """Implements `protocols.Routes`. Immutable: a reload makes another one."""

    contents: Contents

    @property
    def kinds(self) -> tuple[str, ...]:
        """The record kinds mapped."""
        return tuple(self.contents.kinds)

    def mask_words(self, kind: str) -> frozenset[str]:
        """Every word by which a policy may mask fields of a kind; KeyError for an unknown kind."""
        return self.contents.kinds[kind].mask_words

    def match(self, request: Request) -> RouteMatch | None:
        """The route of a request; None where it is open. Raises `RouteRefused` for everything else.

        In this order: overrides, one reading of the path, open places, one reading of the query, refused doors, routes.
        """
        refuse_overrides(request.headers)
        path = canonical_path(request.raw_path, request.path)
        if self._is_open(request, path):
            return None
        pairs = read_query(request.query)
        for door in self.contents.doors:
            if door.covers(path, pairs):
                raise RouteRefused(Reason.ROUTE_FORBIDDEN, door.name)
        return self._lookup(request, path, pairs)

    def _is_open(self, request: Request, path: str) -> bool:
        # Case matters to us and may not to the records system, so the prefix protects in every case.
        if not path.casefold().startswith(self.contents.protected.casefold()):
            return True
        for place in self.contents.open:
            # Byte for byte: an open request goes upstream as it came, so no second spelling of it may count.
            if place.path.encode() == request.raw_path and plain_method(request.method) in place.methods:
                if place.any_query:
                    refuse_method_parameters(request.query)
                return place.any_query or not request.query
        return False

    def _lookup(self, request: Request, path: str, pairs: Pairs) -> RouteMatch:
        method = plain_method(request.method)
        if method in METHODS_WITHOUT_BODY and request.body:
            raise RouteRefused(Reason.PARAMETER_UNMAPPED, f"{method} takes no body.")
        here = [
            (route, found) for route in self.contents.routes if (found := route.record_id(path)) is not None
        ]
        if not here:
            raise RouteRefused(Reason.ROUTE_UNMAPPED, "No route has this address.")
        fitting = [(route, record_id) for route, record_id in here if method in route.methods]
        if not fitting:
            raise RouteRefused(Reason.ROUTE_UNMAPPED, "The address does not take this method.")
        if len(fitting) > 1:
            raise RouteRefused(Reason.PATH_AMBIGUOUS, "Two routes have this address.")
        [(route, record_id)] = fitting
        return RouteMatch(
            of=route,
            asked=route.parameters.read(pairs),
            received=request,
            path=path,
            records=_records(route, record_id),
            look=self._look,
        )

    def _look(self, target: Request) -> Named:
        """What an address names, for redirects and links."""
        match = self.match(target)
        if match is None:
            return Named(is_open=True)
        asked = match.asked
        return Named(
            records=frozenset(match.records),
            values=asked.open_values,
            ignored=frozenset(asked.ignored),
            has_page=bool(asked.page),
        )


def _records(route: Route, record_id: str) -> tuple[RecordRef, ...]:
    return (RecordRef(route.kind.name, record_id),) if record_id else ()


def load(path: Path) -> Mapping:
    """Read and check records.yaml. Raises `PolicyError` with every fault found, each with its line."""
    return Mapping(read_contents(path))
