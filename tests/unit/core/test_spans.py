"""Spans: begun only where somebody traces, and then as before."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span, Tracer, TracerProvider
from opentelemetry.util._decorator import _agnosticcontextmanager

from gates import Gated
from purposegate import telemetry

pytestmark = pytest.mark.anyio


@pytest.fixture
def provided(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of spans begun, by a provider that is neither the API's proxy nor its no-op."""
    names: list[str] = []

    class Named(Tracer):
        def start_span(self, name: str, *_: Any, **__: Any) -> Span:
            return INVALID_SPAN

        @_agnosticcontextmanager
        def start_as_current_span(self, name: str, *_: Any, **__: Any) -> Iterator[Span]:
            names.append(name)
            yield INVALID_SPAN

    class Provider(TracerProvider):
        def get_tracer(self, *_: Any, **__: Any) -> Tracer:
            return Named()

    provider = Provider()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(telemetry, "TRACER", provider.get_tracer("purposegate"))
    return names


def test_without_a_tracer_no_span_is_begun() -> None:
    """The API alone records nothing, so nothing is made."""
    with telemetry.span("purposegate.lookup") as span:
        assert INVALID_SPAN is span


async def test_with_a_tracer_every_stage_has_its_span(gated: Gated, provided: list[str]) -> None:
    """Under the names that operators' dashboards know."""
    world = gated.world
    await gated.ask(world.path(world.cast.suspect))

    assert {
        telemetry.SPAN_LOOKUP,
        telemetry.SPAN_FACTS,
        telemetry.SPAN_DECIDE,
        telemetry.SPAN_UPSTREAM,
        telemetry.SPAN_APPEND,
    } == set(provided)
