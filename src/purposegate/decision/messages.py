"""Questions as Cerbos reads them, and its answers read strictly. Pure.

Results are taken by their place, never by resource id: two questions may be about one record. Every result must echo
what its place asked about, or the whole answer is malformed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cerbos.effect.v1 import effect_pb2
from cerbos.engine.v1 import engine_pb2
from cerbos.request.v1 import request_pb2
from cerbos.response.v1 import response_pb2

from purposegate.decision.vocabulary import (
    NO_ID,
    PRINCIPAL_FLAGS,
    PRINCIPAL_WORDS,
    RECORD_FLAGS,
    RECORD_LISTS,
    RECORD_WORDS,
    RESOURCE,
)
from purposegate.errors import PdpOutage
from purposegate.model import Answer, Output, Question
from purposegate.reasons import Reason

BATCH = 50
"""`server.requestLimits.maxResourcesPerRequest` of Cerbos by default; 51 are refused."""

ANNOTATION = "purposegate.lookup"

Asker = tuple[str, tuple[str, ...], tuple[str, ...], tuple[bool, ...]]


def malformed(what: str) -> PdpOutage:
    """An answer that is not an answer to the questions."""
    return PdpOutage(Reason.PDP_ANSWER_MALFORMED, what)


def _asker(question: Question) -> Asker:
    # One order and no repeats: Cerbos refuses a repeated role, and stops at the first role that allows.
    roles = tuple(sorted(set(question.roles)))
    words = tuple(getattr(question, word) for word in PRINCIPAL_WORDS)
    return (question.principal_id, roles, words, tuple(getattr(question, flag) for flag in PRINCIPAL_FLAGS))


def batches(questions: Iterable[Question]) -> Iterator[tuple[Question, ...]]:
    """The questions in batches that one call can carry: one principal each, at most 50, repeats left out."""
    by_asker: dict[Asker, list[Question]] = {}
    for question in dict.fromkeys(questions):
        by_asker.setdefault(_asker(question), []).append(question)
    for group in by_asker.values():
        for start in range(0, len(group), BATCH):
            yield tuple(group[start : start + BATCH])


def write(batch: Sequence[Question], *, lookup_id: str, version: str) -> request_pb2.CheckResourcesRequest:
    """One CheckResources request. Raises `ValueError` or `TypeError` for text that protobuf cannot carry."""
    request = request_pb2.CheckResourcesRequest(request_id=lookup_id)
    first = batch[0]
    principal = request.principal
    principal.id = first.principal_id
    principal.roles.extend(_asker(first)[1])
    principal.policy_version = version
    for word in PRINCIPAL_WORDS:
        principal.attr[word].string_value = getattr(first, word)
    for flag in PRINCIPAL_FLAGS:
        principal.attr[flag].bool_value = getattr(first, flag)
    for question in batch:
        entry = request.resources.add(actions=(question.action,))
        _write_record(entry.resource, question, version)
    request.request_context.annotations[ANNOTATION].string_value = lookup_id
    return request


def _write_record(resource: engine_pb2.Resource, question: Question, version: str) -> None:
    resource.kind = RESOURCE
    resource.id = question.record_id or NO_ID
    resource.policy_version = version
    attr = resource.attr
    for word in RECORD_WORDS:
        attr[word].string_value = getattr(question, word)
    for flag in RECORD_FLAGS:
        attr[flag].bool_value = getattr(question, flag)
    for name in RECORD_LISTS:
        values = attr[name].list_value  # set even when empty: a list, not null
        values.SetInParent()
        for word in getattr(question, name):
            values.values.add().string_value = word


def _plain(value: Any) -> Any:
    """A `google.protobuf.Value` as plain values."""
    match value.WhichOneof("kind"):
        case "struct_value":
            return {key: _plain(inner) for key, inner in value.struct_value.fields.items()}
        case "list_value":
            return [_plain(inner) for inner in value.list_value.values]
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "number_value":
            return value.number_value
        case _:  # null, or no value at all: neither is a map, so the judge refuses it
            return None


def _effect(result: Any, action: str) -> bool:
    if set(result.actions) != {action}:
        raise malformed("a result is about other actions than the question")
    effect = result.actions[action]
    if effect not in {effect_pb2.EFFECT_ALLOW, effect_pb2.EFFECT_DENY}:
        raise malformed("a result has an effect that is neither allow nor deny")
    return bool(effect == effect_pb2.EFFECT_ALLOW)


def _answer(result: Any, asked: Any) -> Answer:
    echo = result.resource
    resource, action = asked.resource, asked.actions[0]
    if (echo.id, echo.kind, echo.policy_version) != (resource.id, resource.kind, resource.policy_version):
        raise malformed("a result is about another record than the question in its place")
    if result.validation_errors:
        # Paths only: Cerbos' messages quote the value, which may be somebody's.
        paths = sorted({error.path or "/" for error in result.validation_errors})
        raise malformed(f"the policies' schemas reject what was sent at {', '.join(paths)}")
    allowed = _effect(result, action)
    outputs = []
    for output in result.outputs:
        if output.action != action:
            raise malformed("an output is about another action than the question")
        outputs.append(Output(output.src, _plain(output.val), output.error))
    return Answer(allowed, tuple(outputs))


def read(
    response: response_pb2.CheckResourcesResponse, request: request_pb2.CheckResourcesRequest
) -> tuple[Answer, ...]:
    """The answers, in the order of the request's resources. Raises `PdpOutage(pdp-answer-malformed)`."""
    if response.request_id != request.request_id:
        raise malformed("the answer is to another request")
    if len(response.results) != len(request.resources):
        raise malformed(f"{len(request.resources)} questions, {len(response.results)} results")
    return tuple(
        _answer(result, asked) for result, asked in zip(response.results, request.resources, strict=True)
    )
