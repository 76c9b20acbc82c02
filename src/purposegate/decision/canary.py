"""Proves a Cerbos fit before it decides anything: canary policies, asked in one batch, answered exactly.

Neither strict evaluation nor schema rejection can be read from Cerbos' API, and a fresh load has been reported to emit a
rule's output while refusing what the rule allows (cerbos/cerbos#3382). So each is asked for, and a wrong answer is unfit.
"""

from typing import Any, NamedTuple

import grpc
from cerbos.effect.v1 import effect_pb2
from cerbos.request.v1 import request_pb2
from cerbos.svc.v1 import svc_pb2_grpc

from purposegate.decision.binary import require_fit
from purposegate.decision.bundle import DEFAULT_VERSION, source
from purposegate.decision.client import CHANNEL_OPTIONS, outage
from purposegate.decision.messages import malformed
from purposegate.decision.vocabulary import CANARY_KIND, SCHEMA_CANARY_KIND
from purposegate.errors import PdpOutage
from purposegate.reasons import Reason

_ASKER = "purposegate-canary"


class Canary(NamedTuple):
    """One question whose answer is known, and what a wrong answer proves."""

    kind: str
    action: str
    mark: str
    allowed: bool
    proves: str
    output: bool = False
    rejected: bool = False


CANARIES = (
    Canary(CANARY_KIND, "strict", "yes", allowed=False, proves="a deny rule that errs lets lookups through"),
    Canary(CANARY_KIND, "output", "yes", allowed=True, proves="an allow rule does not allow", output=True),
    # The same record again: answers must come by place, each from its own attributes.
    Canary(CANARY_KIND, "output", "no", allowed=False, proves="two questions with one id get one answer"),
    Canary(
        CANARY_KIND, "losing", "no", allowed=True, proves="a deny rule denies though its condition is false"
    ),
    Canary(CANARY_KIND, "losing", "yes", allowed=False, proves="an allow rule beats a deny rule"),
    Canary(
        SCHEMA_CANARY_KIND,
        "schema",
        "yes",
        allowed=False,
        proves="schemas do not reject what they forbid",
        rejected=True,
    ),
)


def _request(version: str) -> request_pb2.CheckResourcesRequest:
    request = request_pb2.CheckResourcesRequest(request_id=_ASKER)
    request.principal.id = _ASKER
    request.principal.roles.append(_ASKER)
    request.principal.policy_version = version
    for canary in CANARIES:
        entry = request.resources.add(actions=(canary.action,))
        entry.resource.kind = canary.kind
        entry.resource.id = "canary"
        entry.resource.policy_version = version
        entry.resource.attr["mark"].string_value = canary.mark
    return request


def _sang(canary: Canary, result: Any, version: str) -> bool:
    """Whether one result is exactly the known answer."""
    effect = effect_pb2.EFFECT_ALLOW if canary.allowed else effect_pb2.EFFECT_DENY
    if result.resource.kind != canary.kind or dict(result.actions) != {canary.action: effect}:
        return False
    if bool(result.validation_errors) is not canary.rejected:
        return False
    outputs = [(output.src, output.error, output.val.struct_value) for output in result.outputs]
    if not canary.output:
        return not outputs
    src = source(CANARY_KIND, version or DEFAULT_VERSION, "", {"name": "marked-only"}, 0)
    if len(outputs) != 1 or outputs[0][:2] != (src, ""):
        return False
    said = outputs[0][2]
    accepts = [value.string_value for value in said.fields["accepts"].list_value.values]
    return set(said.fields) == {"reason", "accepts"} and accepts == [canary.mark]


def faults(response: Any, version: str) -> tuple[str, ...]:
    """What the answers to the canaries prove wrong; empty where the Cerbos is fit."""
    if len(response.results) != len(CANARIES):
        return ("the canaries are not all answered",)
    pairs = zip(CANARIES, response.results, strict=True)
    return tuple(canary.proves for canary, result in pairs if not _sang(canary, result, version))


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.Channel:
    """A blocking channel, for threads that watch a Cerbos."""
    if credentials is None:
        channel: grpc.Channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)  # type: ignore[no-untyped-call] # grpc is untyped
    else:
        channel = grpc.secure_channel(address, credentials, options=CHANNEL_OPTIONS)  # type: ignore[no-untyped-call] # grpc is untyped
    return channel


def server_version(channel: grpc.Channel, timeout_s: float) -> str:
    """The version the server names: also the health check. Blocks; raises `PdpOutage`."""
    stub = svc_pb2_grpc.CerbosServiceStub(channel)  # type: ignore[no-untyped-call] # generated, untyped
    try:
        return str(stub.ServerInfo(request_pb2.ServerInfoRequest(), timeout=timeout_s).version)
    except grpc.RpcError as error:
        raise outage(error) from error


def prove(channel: grpc.Channel, *, version: str, timeout_s: float) -> str:
    """Ask the canaries under a policy version ("" = the server's default). Blocks. Returns Cerbos' own version.

    Raises `PdpOutage` naming what is wrong: `pdp-unavailable` where it does not answer or is too old,
    `pdp-answer-malformed` where a canary is answered wrongly.
    """
    named = server_version(channel, timeout_s)
    stub = svc_pb2_grpc.CerbosServiceStub(channel)  # type: ignore[no-untyped-call] # generated, untyped
    try:
        response = stub.CheckResources(_request(version), timeout=timeout_s)
    except grpc.RpcError as error:
        raise outage(error) from error
    wrong = faults(response, version)
    if wrong:
        raise malformed(f"Cerbos {named} is unfit: {'; '.join(wrong)}.")
    require_fit("Cerbos", named)  # after the canaries, whose wrong answers say more
    return named


def unfit(detail: str) -> PdpOutage:
    """A Cerbos that cannot be used, and why."""
    return PdpOutage(Reason.PDP_UNAVAILABLE, detail)
