"""Asks Cerbos: native CheckResources over our own channel, one deadline a call, any event loop.

Everything that is not a well-formed answer is a `PdpOutage`; there is no path from a fault to an allow. The SDK's own
client is not used: it has no deadline a call, no request context, and finds results by resource id alone.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc
import grpc.aio
from cerbos.request.v1 import request_pb2
from cerbos.svc.v1 import svc_pb2_grpc

from purposegate.decision import messages
from purposegate.decision.cache import Told
from purposegate.errors import PdpOutage
from purposegate.model import Answer, Question
from purposegate.reasons import Reason

DEADLINE_S = 0.8
"""A search screen feels broken sooner than the SDK's 2 s, and refusing late helps no one."""

_AT_ONCE = 4
"""Calls in flight for one decide: Cerbos evaluates a batch on several cores, more only queue there."""

CHANNEL_OPTIONS = (
    # A Cerbos that came back must be noticed by the next lookup, not after gRPC's default of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 250),
    # Loops and restarts must not share a subchannel that is still backing off.
    ("grpc.use_local_subchannel_pool", 1),
    # A proxy named in the environment has no business between the gate and its decision point.
    ("grpc.enable_http_proxy", 0),
)


def outage(error: grpc.RpcError) -> PdpOutage:
    """What a failed call means. The server's own text is left out: it can quote what was sent."""
    code = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return messages.malformed("Cerbos does not take the question as one")
    return PdpOutage(Reason.PDP_UNAVAILABLE, f"Cerbos: {code.name.lower().replace('_', ' ')}")


class _Connected(NamedTuple):
    """One loop's channel to the Cerbos of one epoch."""

    epoch: int
    channel: grpc.aio.Channel
    stub: Any


class CheckClient:
    """One address, asked from any number of event loops: each has a channel of its own."""

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        deadline_s: float = DEADLINE_S,
        version: str = "",
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:
        """Nothing is connected yet. `epoch` changes when another Cerbos stands behind the address.

        Raises `ValueError` for a deadline that is not positive.
        """
        if not deadline_s > 0:  # written so that NaN fails too
            raise ValueError("deadline_s: want seconds > 0")
        self._address = address
        self._credentials = credentials
        self._deadline_s = deadline_s
        self._version = version
        self._lock = threading.Lock()
        self._epoch = epoch
        self._channels: dict[asyncio.AbstractEventLoop, _Connected] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._closed = False

    def _stub(self) -> Any:
        loop = asyncio.get_running_loop()
        epoch = self._epoch()
        found = self._channels.get(loop)
        if found is not None and found.epoch == epoch:
            return found.stub
        with self._lock:
            if self._closed:
                raise PdpOutage(Reason.PDP_UNAVAILABLE, "this Cerbos is no longer in use")
            for gone in [other for other in self._channels if other.is_closed()]:
                del self._channels[gone]
            channel = self._open()
            stub = svc_pb2_grpc.CerbosServiceStub(channel)  # type: ignore[no-untyped-call] # generated, untyped
            self._channels[loop] = _Connected(epoch, channel, stub)
        if (
            found is not None
        ):  # a channel that lost its Cerbos waits before it looks again; a new one does not
            retiring = loop.create_task(found.channel.close(self._deadline_s))
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)
        return stub

    def _open(self) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS)
        return grpc.aio.secure_channel(self._address, self._credentials, options=CHANNEL_OPTIONS)

    async def _ask(self, batch: Sequence[Question], lookup_id: str) -> tuple[tuple[Answer, ...], str]:
        try:
            request = messages.write(batch, lookup_id=lookup_id, version=self._version)
        except (
            ValueError,
            TypeError,
        ) as error:  # lone surrogates, wrong types: nothing Cerbos could be asked about
            raise messages.malformed("the question cannot be written for Cerbos") from error
        try:
            response = await self._stub().CheckResources(request, timeout=self._deadline_s)
        except grpc.RpcError as error:
            raise outage(error) from error
        except grpc.aio.UsageError as error:
            raise PdpOutage(Reason.PDP_UNAVAILABLE, "the channel to Cerbos was closed") from error
        return messages.read(response, request), response.cerbos_call_id

    @property
    def epoch(self) -> int:
        """Which Cerbos stands behind the address now."""
        return self._epoch()

    @property
    def connected(self) -> bool:
        """Whether the running loop's channel is connected to the Cerbos of this epoch. Connects nothing."""
        found = self._channels.get(asyncio.get_running_loop())
        if found is None or found.epoch != self._epoch():
            return False
        return found.channel.get_state() is grpc.ChannelConnectivity.READY

    async def check(self, questions: Sequence[Question], *, lookup_id: str) -> tuple[Told, ...]:
        """Answers by index of the questions, each with the id of the call that gave it. Raises `PdpOutage`.

        Identical questions are asked once. Each call ends within `deadline_s`; calls beyond the first few wait in turn.
        """
        asked = list(messages.batches(questions))
        replies = await self._ask_all(asked, lookup_id)
        told: dict[Question, Told] = {}
        for batch, (answers, call_id) in zip(asked, replies, strict=True):
            told.update(
                (question, Told(answer, call_id)) for question, answer in zip(batch, answers, strict=True)
            )
        return tuple(told[question] for question in questions)

    async def _ask_all(
        self, asked: Sequence[Sequence[Question]], lookup_id: str
    ) -> list[tuple[tuple[Answer, ...], str]]:
        if len(asked) == 1:  # nearly every lookup
            return [await self._ask(asked[0], lookup_id)]
        places = asyncio.Semaphore(_AT_ONCE)

        async def in_turn(batch: Sequence[Question]) -> tuple[tuple[Answer, ...], str]:
            async with places:
                return await self._ask(batch, lookup_id)

        tasks = [asyncio.ensure_future(in_turn(batch)) for batch in asked]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def server_version(self) -> str:
        """The version the server names. Raises `PdpOutage`."""
        try:
            info = await self._stub().ServerInfo(request_pb2.ServerInfoRequest(), timeout=self._deadline_s)
        except grpc.RpcError as error:
            raise outage(error) from error
        return str(info.version)

    async def aclose(self) -> None:
        """Close the channels of every loop that still runs. Idempotent; calls in flight fail with `PdpOutage`."""
        with self._lock:
            self._closed = True
            channels = dict(self._channels)
            self._channels.clear()
        here = asyncio.get_running_loop()
        for loop, connected in channels.items():
            if loop is here:
                await connected.channel.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(connected.channel.close(), loop)
