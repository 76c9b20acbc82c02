"""Span and metric names, with units, said once. No attribute carries personal data (names, ids, reasons, paths).

Only the OpenTelemetry API is used: without an SDK these calls go nowhere, and spans are not even begun.
"""

from contextlib import AbstractContextManager
from types import TracebackType

from opentelemetry import metrics, trace
from opentelemetry.trace import INVALID_SPAN, NoOpTracerProvider, ProxyTracerProvider, Span

TRACER = trace.get_tracer("purposegate")
METER = metrics.get_meter("purposegate")

SPAN_LOOKUP = "purposegate.lookup"
SPAN_FACTS = "purposegate.facts"
SPAN_DECIDE = "purposegate.decide"
SPAN_UPSTREAM = "purposegate.upstream"
SPAN_APPEND = "purposegate.append"

ATTR_ACTION = "purposegate.action"
ATTR_KIND = "purposegate.record_kind"
ATTR_ROUTE = "purposegate.route"
ATTR_MODE = "purposegate.mode"
ATTR_RELEASED = "purposegate.released"
ATTR_FAMILY = "purposegate.reason_family"

LOOKUPS = METER.create_counter(
    "purposegate.lookups",
    unit="{lookup}",
    description="Lookups by action, kind, mode, released and family of reason.",
)
DURATION = METER.create_histogram(
    "purposegate.lookup.duration", unit="s", description="From the request read to the entry durable."
)
STRANGERS = METER.create_counter(
    "purposegate.strangers", unit="{request}", description="Requests answered 401 before the pipeline."
)
THROTTLED = METER.create_counter(
    "purposegate.throttled", unit="{request}", description="Requests answered 429 over the refusal rate."
)
UNWITNESSED = METER.create_gauge(
    "purposegate.ledger.witness_age",
    unit="s",
    description="Since the quorum of witnesses last cosigned a head.",
)
GAPS = METER.create_counter(
    "purposegate.ledger.gaps",
    unit="{lookup}",
    description="Monitor-mode lookups passed while the ledger was down.",
)


class _NoSpan:
    """Where nobody traces: a span that is not begun."""

    def __enter__(self) -> Span:
        return INVALID_SPAN

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


_NO_SPAN = _NoSpan()


def span(name: str) -> AbstractContextManager[Span]:
    """A span under the current one, as long as its block; nothing at all while no SDK is set up to trace."""
    if isinstance(trace.get_tracer_provider(), ProxyTracerProvider | NoOpTracerProvider):
        return _NO_SPAN
    return TRACER.start_as_current_span(name)
