"""Questions written for Cerbos, and its answers read strictly: anything but an answer to each question is an outage."""

from dataclasses import fields, replace

import pytest
from cerbos.effect.v1 import effect_pb2
from cerbos.request.v1 import request_pb2
from cerbos.response.v1 import response_pb2
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from cerbos_world import USUAL
from purposegate.decision import messages
from purposegate.decision.vocabulary import PRINCIPAL_ATTRS, RECORD_ATTRS
from purposegate.errors import PdpOutage
from purposegate.model import Answer, Output, Question
from purposegate.reasons import Reason

WORDS = st.text("abc", max_size=2)
QUESTIONS = st.builds(
    lambda person, roles, purpose, record: replace(
        USUAL, principal_id=person, roles=roles, purpose=purpose, record_id=record
    ),
    st.sampled_from(["p-1", "p-2"]),
    st.lists(st.sampled_from(["officer", "clerk"]), min_size=1, max_size=3).map(tuple),
    WORDS,
    WORDS,
)


def replies(request: request_pb2.CheckResourcesRequest) -> response_pb2.CheckResourcesResponse:
    """A well-formed answer: every question allowed where its purpose is longer than one letter."""
    response = response_pb2.CheckResourcesResponse(request_id=request.request_id, cerbos_call_id="call")
    for entry in request.resources:
        result = response.results.add()
        result.resource.kind, result.resource.id = entry.resource.kind, entry.resource.id
        result.resource.policy_version = entry.resource.policy_version
        long = len(entry.resource.attr["purpose"].string_value) > 1
        result.actions[entry.actions[0]] = effect_pb2.EFFECT_ALLOW if long else effect_pb2.EFFECT_DENY
    return response


def asked(*questions: Question) -> request_pb2.CheckResourcesRequest:
    return messages.write(questions, lookup_id="lookup-1", version="")


def refuse(response: response_pb2.CheckResourcesResponse, request: request_pb2.CheckResourcesRequest) -> str:
    with pytest.raises(PdpOutage) as caught:
        messages.read(response, request)
    assert Reason.PDP_ANSWER_MALFORMED == caught.value.reason
    return caught.value.detail


def test_every_part_of_a_question_is_sent() -> None:
    """No field of a question is left out: a policy that reads it must find it, empty lists and falsehoods too."""
    entry = asked(replace(USUAL, explained_by=(), entitled=False)).resources[0]
    principal = asked(USUAL).principal
    named = {"principal_id", "roles", "action", "record_id"}

    assert {field.name for field in fields(Question)} - named == PRINCIPAL_ATTRS | RECORD_ATTRS
    assert PRINCIPAL_ATTRS == set(principal.attr)
    assert RECORD_ATTRS == set(entry.resource.attr)
    assert {"explained_by": [], "entitled": False}.items() <= MessageToDict(entry.resource)["attr"].items()  # type: ignore[no-untyped-call] # protobuf is untyped


def test_the_lookup_stands_in_cerbos_log() -> None:
    """The lookup's id is the request's id and an annotation, which policies cannot read."""
    request = asked(USUAL)

    assert ("lookup-1", "lookup-1") == (
        request.request_id,
        request.request_context.annotations[messages.ANNOTATION].string_value,
    )


def test_a_record_without_id_is_sent_as_a_dash() -> None:
    """Cerbos takes no empty id; where no policy reads it, a dash stands for it."""
    assert ["-", "r-7"] == [
        asked(replace(USUAL, record_id=record)).resources[0].resource.id for record in ("", "r-7")
    ]


def test_the_policy_version_is_asked_for_everywhere() -> None:
    """A wanted version is asked of principal and record policies alike."""
    request = messages.write([USUAL, USUAL], lookup_id="lookup-1", version="abc")

    assert ["abc"] * 3 == [
        request.principal.policy_version,
        *(one.resource.policy_version for one in request.resources),
    ]


@given(st.lists(QUESTIONS, max_size=130))
def test_batches_carry_every_question_once(questions: list[Question]) -> None:
    """Whatever is asked, each batch has one principal and at most 50 questions, and no question stands twice."""
    batches = list(messages.batches(questions))
    sent = [question for batch in batches for question in batch]

    assert len(sent) == len(set(sent))
    assert set(questions) == set(sent)
    assert all(len(batch) <= 50 for batch in batches)
    assert all(1 == len({messages._asker(question) for question in batch}) for batch in batches)


def test_identical_questions_are_asked_once() -> None:
    """Rows that policies cannot tell apart cost one question."""
    assert [(USUAL,)] == list(messages.batches([USUAL] * 500))


@given(st.lists(WORDS, min_size=1, max_size=50))
def test_answers_come_by_place(purposes: list[str]) -> None:
    """Each question gets the answer in its own place, though all are about one record."""
    request = asked(*(replace(USUAL, purpose=purpose) for purpose in purposes))

    assert tuple(Answer(len(purpose) > 1) for purpose in purposes) == messages.read(replies(request), request)


@given(st.lists(st.text("xyz", min_size=1, max_size=3), min_size=2, max_size=10, unique=True), st.data())
def test_results_out_of_place_are_malformed(records: list[str], data: st.DataObject) -> None:
    """Results in any other order than the questions, or one more or fewer, answer nothing."""
    request = asked(*(replace(USUAL, record_id=record) for record in records))
    right = replies(request)
    order = data.draw(st.lists(st.sampled_from(range(len(records))), max_size=12))
    response = response_pb2.CheckResourcesResponse(request_id="lookup-1")
    response.results.extend(right.results[place] for place in order)
    if order == list(range(len(records))):
        assert len(records) == len(messages.read(response, request))
    else:
        refuse(response, request)


@pytest.mark.parametrize(
    ("spoil", "detail"),
    [
        (lambda answer: setattr(answer, "request_id", "another"), "another request"),
        (lambda answer: setattr(answer.results[0].resource, "id", "r-8"), "another record"),
        (lambda answer: setattr(answer.results[0].resource, "kind", "vehicle"), "another record"),
        (lambda answer: setattr(answer.results[0].resource, "policy_version", "other"), "another record"),
        (lambda answer: answer.results[0].actions.clear(), "other actions"),
        (lambda answer: answer.results[0].actions.update({"edit": effect_pb2.EFFECT_ALLOW}), "other actions"),
        (lambda answer: answer.results[0].actions.update({"view": effect_pb2.EFFECT_NO_MATCH}), "neither"),
        (lambda answer: answer.results[0].actions.update({"view": effect_pb2.EFFECT_UNSPECIFIED}), "neither"),
        (lambda answer: answer.results[0].actions.update({"view": 99}), "neither"),
        (lambda answer: answer.results[0].outputs.add(src="x", action="edit"), "another action"),
        (lambda answer: answer.results[0].validation_errors.add(path="/unit", message="sekret"), "/unit"),
        (lambda answer: answer.results.add(), "1 questions, 2 results"),
        (lambda answer: answer.results.pop(), "1 questions, 0 results"),
    ],
)
def test_anything_but_an_answer_is_malformed(spoil: object, detail: str) -> None:
    """Each way an answer can miss its question is an outage that says which, and quotes no value."""
    request = asked(replace(USUAL, purpose="long", record_id="r-7"))
    response = replies(request)
    spoil(response)  # type: ignore[operator] # parametrize has no types
    told = refuse(response, request)

    assert detail in told
    assert "sekret" not in told


def test_outputs_are_read_as_plain_values() -> None:
    """Maps, lists, words, numbers, truth and nothing come through as themselves; an error comes with its text."""
    request = asked(USUAL)
    response = replies(request)
    whole = response.results[0].outputs.add(src="rule", action="view")
    whole.val.struct_value.update({"a": ["b", 1, True, None, {"c": "d"}]})
    response.results[0].outputs.add(src="mute", action="view")
    response.results[0].outputs.add(src="broken", action="view", error="no such key")

    assert (
        Output("rule", {"a": ["b", 1, True, None, {"c": "d"}]}),
        Output("mute", None),
        Output("broken", None, "no such key"),
    ) == messages.read(response, request)[0].outputs
