"""One request from its check to its worker: the model's queue, its loading, and what to do when a worker goes.

Invariant: a crash or a switch loses no request that no worker has begun to answer: it waits and is sent again. One
that a worker had when it crashed is not repeated, since it may be what crashed it. One that was lost with its node is
repeated once if its answer had not begun.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import (
    ClusterUnreachable,
    FoundryLocalError,
    ModelLoading,
    ModelNotFound,
    ModelUnloaded,
    NodeLost,
    ServerShuttingDown,
    SystemExhausted,
    WorkerCrashed,
)
from foundrylocal.gateway.flow.abilities import refuse_too_long, refuse_unable
from foundrylocal.gateway.flow.admission import Admission, CountPrompt, count_prompt
from foundrylocal.gateway.flow.affinity import opening_of
from foundrylocal.gateway.flow.defaults import use_defaults
from foundrylocal.gateway.flow.lost_node import end_with_node, is_node_lost, repeat_once
from foundrylocal.gateway.flow.queue import FairQueue
from foundrylocal.gateway.flow.relay import NothingSent, Relay, end_stream_with, relay, send_idle_answer
from foundrylocal.gateway.flow.side_work import SideWork
from foundrylocal.gateway.flow.slow_client import READER_TIMEOUT_S
from foundrylocal.gateway.flow.stuck import EngineStuck, Flight, StuckEngines
from foundrylocal.gateway.flow.truncation import cut_to_context
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.keys.keyring import Keyring
from foundrylocal.pool.roster import Replica, State
from foundrylocal.server.server import Server
from foundrylocal.server.state import SERVING, Status
from foundrylocal.settings.store import SettingsStore

RECOVERY_TIMEOUT_S = 60.0
RECOVERY_CHECK_S = 0.5
EXIT_REASON_TIMEOUT_S = 0.5


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
        self._queue.set_limit(model.model_id, *self._server.pool.slots(model))
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
            with anyio.CancelScope(shield=True):
                await self._server.pool.unload_model(model, self._settings.current.drain_seconds)
        else:
            async with self._leased(model, request) as replica:
                refuse_unable(request, replica)
        await send_idle_answer(request)

    @asynccontextmanager
    async def _leased(self, model: Model, request: InferenceRequest) -> AsyncIterator[Replica]:
        """A replica that is kept for as long as the request wants it."""
        began = anyio.current_time()
        name = request.body.model
        context_tokens = request.body.wanted_context or self._presets.context_of_alias(name)
        # Only the first attempt: a request that waits must not start a server that was stopped meanwhile.
        may_start, request.may_start = request.may_start, False
        has_choice = len(self._server.pool.replicas_of(model)) > 1
        async with self._server.lease(
            name,
            context_tokens=context_tokens,
            may_start=may_start,
            opening=opening_of(request.engine) if has_choice and request.route.takes_slot else b"",
        ) as replica:
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
                if self._server.pool.has_trusted(model) and not self._is_overdue(request):
                    continue  # another replica takes it at once
            except (ModelLoading, SystemExhausted, NodeLost, ClusterUnreachable) as error:
                if not request.is_admitted and self._server.state.status is not Status.SWITCHING:
                    raise
                if isinstance(error, NodeLost) and request.is_repeated:
                    raise
                reason = error
            await self._await_return(request, reason)

    async def _await_return(self, request: InferenceRequest, reason: FoundryLocalError) -> None:
        if self._is_overdue(request):
            raise reason
        now = anyio.current_time()
        assert request.deadline is not None  # noqa: S101 - just set
        # It also checks from time to time, to notice a model that does not come back.
        with anyio.move_on_after(min(RECOVERY_CHECK_S, request.deadline - now)):
            await self._server.pool.arrival()
        request.stats.load_s += anyio.current_time() - now

    @staticmethod
    def _is_overdue(request: InferenceRequest) -> bool:
        """Whether it has waited for RECOVERY_TIMEOUT_S, from the first time that this was asked."""
        now = anyio.current_time()
        if request.deadline is None:
            request.deadline = now + RECOVERY_TIMEOUT_S
        return now >= request.deadline

    async def _try(self, model: Model, request: InferenceRequest) -> None:
        async with self._leased(model, request) as replica:
            if replica.model.model_id != model.model_id:
                raise _Moved
            if request.route.takes_slot:
                self._queue.set_limit(model.model_id, *self._server.pool.slots(model))
            request.slots = replica.spec.parallel
            request.stats.context_size = replica.spec.context_size
            await use_defaults(request, self._presets.for_request(request.body.model, model.model_id))
            refuse_unable(request, replica)
            refuse_too_long(request, replica)
            try:
                flight = await self._send(replica, request)
            except NothingSent:
                self._server.pool.suspect(replica)
                raise
            stats = request.stats
            self._server.pool.note_reuse(replica, stats.tokens_in, stats.tokens_cached)
            if flight.is_ended:
                await _end_stuck(request)

    async def _send(self, replica: Replica, request: InferenceRequest) -> Flight:
        if request.body.texts_to_cut:
            await cut_to_context(replica, request)
        async with self._admission.admit(replica, request):
            with self._stuck.flight(replica.spec, replica.address, request) as flight:
                why_gone = partial(self._why_gone, replica, flight)
                exchange = self._send_to_worker(replica.address, request, why_gone, self._reader_timeout_s)
                await end_with_node(replica, request, exchange)
        return flight

    async def _why_gone(self, replica: Replica, flight: Flight, has_begun: bool) -> Exception:
        """Why a worker's connection broke: a stop, a model that made room for another, a lost node, or a crash."""
        if self._server.state.status not in SERVING:
            return ServerShuttingDown()
        self._server.pool.suspect(replica)
        # The connection ends a moment before the process is reaped, and only its end says why.
        with anyio.move_on_after(EXIT_REASON_TIMEOUT_S):
            await replica.ended()
        if replica.lost_reason is None and replica.state is not State.READY:
            return ModelUnloaded() if has_begun else NothingSent()
        if flight.is_bystander and not has_begun:
            return NothingSent()
        if is_node_lost(replica):
            return repeat_once(flight.request, replica, has_begun)
        return WorkerCrashed(
            replica.lost_reason or "It closed the connection before the answer was complete."
        )


async def _end_stuck(request: InferenceRequest) -> None:
    """End a request on which its engine was stuck. Raises EngineStuck when its answer has not begun."""
    if request.stats.first_s is None:
        raise EngineStuck
    await end_stream_with(EngineStuck(), request)
