"""One request from its check to its worker: the model's queue, its loading, and what to do when a worker goes.

Invariant: a crash or a switch loses no request that no worker has begun to answer: it waits and is sent again. One
that a worker had when it crashed is not repeated, since it may be what crashed it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import (
    FoundryLocalError,
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    ModelUnloaded,
    ServerShuttingDown,
    SystemExhausted,
    ToolsUnsupported,
    WorkerCrashed,
)
from foundrylocal.gateway.flow.admission import Admission, CountPrompt, count_prompt
from foundrylocal.gateway.flow.defaults import use_defaults
from foundrylocal.gateway.flow.queue import FairQueue
from foundrylocal.gateway.flow.relay import NothingSent, Relay, end_stream_with, relay, send_idle_answer
from foundrylocal.gateway.flow.side_work import SideWork
from foundrylocal.gateway.flow.slow_client import READER_TIMEOUT_S
from foundrylocal.gateway.flow.stuck import EngineStuck, Flight, StuckEngines
from foundrylocal.gateway.flow.truncation import cut_to_context
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.routes import Ability
from foundrylocal.keys.keyring import Keyring
from foundrylocal.pool.roster import Replica, State
from foundrylocal.server.server import Server
from foundrylocal.server.state import SERVING, Status
from foundrylocal.settings.store import SettingsStore

RECOVERY_TIMEOUT_S = 60.0
RECOVERY_CHECK_S = 0.5
EXIT_REASON_TIMEOUT_S = 0.5
# No text has so many bytes for a token on average, a tool's description and JSON around it included.
MAX_BYTES_PER_TOKEN = 32
MIN_COUNTED_BYTES = 262_144


class _Moved(Exception):
    """A switch gave this request another model than the one whose queue it waited in."""


class Dispatcher:
    """Brings requests to workers."""

    def __init__(
        self,
        server: Server,
        queue: FairQueue,
        settings: SettingsStore,
        stuck: StuckEngines,
        keyring: Keyring,
        presets: PresetStore,
        *,
        reader_timeout_s: float = READER_TIMEOUT_S,
        send_to_worker: Relay = relay,
        count_prompt: CountPrompt = count_prompt,
    ) -> None:
        self._server = server
        self._queue = queue
        self._settings = settings
        self._stuck = stuck
        self._keyring = keyring
        self._presets = presets
        self._reader_timeout_s = reader_timeout_s
        self._send_to_worker = send_to_worker
        self._side_work = SideWork()
        self._admission = Admission(count_prompt)

    async def answer(self, request: InferenceRequest) -> None:
        """Answer one request. Raises the error that the client is to get, or ClientStalled."""
        while True:
            model = self._model(request)
            if request.engine.is_load_only:
                await self._only_load(model, request)
                return
            self._stuck.check(request)
            try:
                async with self._slot(model, request):
                    await self._serve(model, request)
                return
            except _Moved:
                continue

    def _model(self, request: InferenceRequest) -> Model:
        try:
            name = request.body.model
            model = self._server.resolve(name) if name else self._server.state.current
        except ModelNotFound as error:
            error.param = "model"
            raise
        if model is None:
            raise ServerShuttingDown
        request.caller.check_model(model.model_id, model.simple_name)
        request.stats.model_id, request.stats.model_name = model.model_id, model.simple_name
        return model

    @asynccontextmanager
    async def _slot(self, model: Model, request: InferenceRequest) -> AsyncIterator[None]:
        if not request.route.takes_slot:
            async with self._side_work.place(model.model_id):
                request.stats.has_slot = True
                yield
            return
        loaded = self._server.pool.get(model)
        limit = loaded.spec.parallel if loaded else self._server.pool.wanted_slots(model)
        self._queue.set_limit(model.model_id, limit)
        weight = request.body.answer_count
        async with self._queue.slot(
            model.model_id,
            request.caller.name,
            request.client,
            weight=weight,
            is_readmitted=request.is_admitted,
        ) as ticket:
            stats = request.stats
            stats.queue_position = max(stats.queue_position, ticket.position)
            stats.queue_s += ticket.waited_s
            request.is_admitted = request.is_admitted or ticket.position > 0
            self._keyring.check_tokens(request.caller)
            stats.has_slot = True
            yield

    async def _only_load(self, model: Model, request: InferenceRequest) -> None:
        """Load the model, or unload it when it is not to be kept at all, and answer."""
        if request.body.keep_alive_s == 0:
            if (replica := self._server.pool.get(model)) is not None:
                with anyio.CancelScope(shield=True):
                    await self._server.pool.unload(replica, self._settings.current.drain_seconds)
        else:
            async with self._leased(request) as replica:
                _refuse_unable(request, replica)
        await send_idle_answer(request)

    @asynccontextmanager
    async def _leased(self, request: InferenceRequest) -> AsyncIterator[Replica]:
        """A replica that is kept for as long as the request wants it."""
        began = anyio.current_time()
        name = request.body.model
        context_tokens = request.body.wanted_context or self._presets.context_of_alias(name)
        # Only the first attempt: a request that waits must not start a server that was stopped meanwhile.
        may_start, request.may_start = request.may_start, False
        async with self._server.lease(name, context_tokens=context_tokens, may_start=may_start) as replica:
            request.stats.load_s += anyio.current_time() - began
            with self._server.pool.kept_alive(replica, request.body.keep_alive_s):
                yield replica

    async def _serve(self, model: Model, request: InferenceRequest) -> None:
        """Try until an answer has begun; wait for the model to come back between the attempts."""
        while True:
            try:
                await self._try(model, request)
                return
            except NothingSent:
                request.is_admitted = True
                reason: FoundryLocalError = ModelLoading(model.simple_name)
            except (ModelLoading, SystemExhausted) as error:
                if not request.is_admitted and self._server.state.status is not Status.SWITCHING:
                    raise
                reason = error
            await self._await_return(request, reason)

    async def _await_return(self, request: InferenceRequest, reason: FoundryLocalError) -> None:
        now = anyio.current_time()
        if request.deadline is None:
            request.deadline = now + RECOVERY_TIMEOUT_S
        if now >= request.deadline:
            raise reason
        # It also checks from time to time, to notice a model that does not come back.
        with anyio.move_on_after(min(RECOVERY_CHECK_S, request.deadline - now)):
            await self._server.pool.arrival()
        request.stats.load_s += anyio.current_time() - now

    async def _try(self, model: Model, request: InferenceRequest) -> None:
        async with self._leased(request) as replica:
            if replica.model.model_id != model.model_id:
                raise _Moved
            if request.route.takes_slot:
                self._queue.set_limit(model.model_id, replica.spec.parallel)
            request.slots = replica.spec.parallel
            request.stats.context_size = replica.spec.context_size
            await use_defaults(request, self._presets.for_request(request.body.model, model.model_id))
            _refuse_unable(request, replica)
            _refuse_too_long(request, replica)
            if request.body.texts_to_cut:
                await cut_to_context(replica, request)
            async with self._admission.admit(replica, request):
                with self._stuck.flight(replica.spec, replica.address, request) as flight:
                    why_gone = partial(self._why_gone, replica, flight)
                    await self._send_to_worker(replica.address, request, why_gone, self._reader_timeout_s)
            stats = request.stats
            self._server.pool.note_reuse(replica, stats.tokens_in, stats.tokens_cached)
            if flight.is_ended:
                await _end_stuck(request)

    async def _why_gone(self, replica: Replica, flight: Flight, has_begun: bool) -> Exception:
        """Why a worker's connection broke: a stop, a model that made room for another, or a crash."""
        if self._server.state.status not in SERVING:
            return ServerShuttingDown()
        # The connection ends a moment before the process is reaped, and only its end says why.
        with anyio.move_on_after(EXIT_REASON_TIMEOUT_S):
            await replica.ended()
        if replica.lost_reason is None and replica.state is not State.READY:
            return ModelUnloaded() if has_begun else NothingSent()
        if flight.is_bystander and not has_begun:
            return NothingSent()
        return WorkerCrashed(
            replica.lost_reason or "It closed the connection before the answer was complete."
        )


async def _end_stuck(request: InferenceRequest) -> None:
    """End a request on which its engine was stuck. Raises EngineStuck when its answer has not begun."""
    if request.stats.first_s is None:
        raise EngineStuck
    await end_stream_with(EngineStuck(), request)


def _refuse_unable(request: InferenceRequest, replica: Replica) -> None:
    """Raise InvalidRequest when the model cannot do what the request needs."""
    spec, wanted = replica.spec, request.route.ability
    has = Ability.EMBED if spec.is_embedding else Ability.RERANK if spec.is_reranking else Ability.GENERATE
    if wanted not in (has, Ability.ANY):
        raise InvalidRequest(
            f"Model '{replica.model.simple_name}' cannot {wanted.value}",
            f"This model can only {has.value}. Name another one in 'model'.",
            param="model",
        )
    if request.body.wants_tools and not replica.address.can_call_tools and request.route.takes_slot:
        raise ToolsUnsupported(replica.model.simple_name)
    if request.body.has_images and spec.projector_path is None:
        raise InvalidRequest(
            f"Model '{replica.model.simple_name}' cannot take images",
            "It has no vision projector. Name another model, or leave the images out.",
            param=request.body.content_field,
        )


def _refuse_too_long(request: InferenceRequest, replica: Replica) -> None:
    """Raise InvalidRequest for a text to count that is far longer than the context: the count would tell nothing."""
    limit_bytes = max(MIN_COUNTED_BYTES, replica.spec.context_size * MAX_BYTES_PER_TOKEN)
    if not request.route.takes_slot and len(request.engine.body) > limit_bytes:
        raise InvalidRequest(
            "This text is far longer than the model's context",
            f"It has {len(request.engine.body)} bytes; the limit for a context of {replica.spec.context_size} tokens "
            f"is {limit_bytes} bytes. Send it in parts.",
            param=request.body.content_field,
        )
