"""Span and metric names, with units, said once. No attribute carries personal data (names, ids, reasons, paths).

Only the OpenTelemetry API is used: without an SDK these calls cost a few microseconds and go nowhere.
"""

from opentelemetry import metrics, trace

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
