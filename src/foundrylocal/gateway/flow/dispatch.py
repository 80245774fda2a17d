"""One request from its check to its worker: the model's line, its loading, and what to do when a worker goes.

Invariant: a request that no worker has begun to answer is not lost by a crash or a switch, it waits and is
sent again; one that a worker had when it crashed is not repeated, since it may be what crashed it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import (
    FoundryLocalError,
    InvalidRequest,
    ModelLoading,
    ModelUnloaded,
    ServerShuttingDown,
    SystemExhausted,
    WorkerCrashed,
)
from foundrylocal.gateway.dialects.requests import Prepared
from foundrylocal.gateway.dialects.usage import answers_of
from foundrylocal.gateway.flow.queue import FairQueue
from foundrylocal.gateway.flow.relay import Exchange, NothingSent, relay
from foundrylocal.gateway.flow.slow_client import READER_TIMEOUT_S
from foundrylocal.gateway.routes import Ability, Route
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.pool.roster import Replica, State
from foundrylocal.server.server import Server
from foundrylocal.server.state import SERVING, Status
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import Send
from foundrylocal.web.connection import Peer

RECOVERY_TIMEOUT_S = 60.0
RECOVERY_LOOK_S = 0.5
EXIT_NEWS_S = 0.5


@dataclass(eq=False)
class _Job:
    """A request under way; `is_admitted` once it has stood in line, from when on a crash does not refuse it."""

    endpoint: Route
    prepared: Prepared
    client: str
    stats: RequestStats
    send: Send
    peer: Peer
    is_admitted: bool = False
    deadline: float | None = None


class _Moved(Exception):
    """The model that serves this request is another one than the one it stood in line for."""


class Dispatcher:
    """Brings requests to workers."""

    def __init__(
        self,
        server: Server,
        queue: FairQueue,
        settings: SettingsStore,
        *,
        reader_timeout_s: float = READER_TIMEOUT_S,
    ) -> None:
        self._server = server
        self._queue = queue
        self._settings = settings
        self._reader_timeout_s = reader_timeout_s

    async def answer(
        self, endpoint: Route, prepared: Prepared, client: str, stats: RequestStats, send: Send, peer: Peer
    ) -> None:
        """Answer one request. Raises the error that the caller is to get, or ClientStalled."""
        job = _Job(endpoint, prepared, client, stats, send, peer)
        while True:
            model = self._model(job)
            try:
                async with self._slot(model, job):
                    await self._serve(model, job)
                return
            except _Moved:
                continue

    def _model(self, job: _Job) -> Model:
        name = job.prepared.asked.model
        model = self._server.resolve(name) if name else self._server.state.current
        if model is None:
            raise ServerShuttingDown
        job.stats.model_id = model.model_id
        return model

    @asynccontextmanager
    async def _slot(self, model: Model, job: _Job) -> AsyncIterator[None]:
        if not job.endpoint.takes_slot:
            yield
            return
        loaded = self._server.pool.get(model)
        limit = loaded.spec.parallel if loaded else self._settings.current.parallel
        self._queue.set_limit(model.model_id, limit)
        weight = answers_of(job.prepared.asked)
        async with self._queue.slot(
            model.model_id, job.client, weight=weight, is_readmitted=job.is_admitted
        ) as ticket:
            stats = job.stats
            stats.queue_position = max(stats.queue_position, ticket.position)
            stats.queue_s += ticket.waited_s
            job.is_admitted = job.is_admitted or ticket.position > 0
            yield

    async def _serve(self, model: Model, job: _Job) -> None:
        """Try until an answer has begun; between tries wait for the model to come back."""
        while True:
            try:
                await self._try(model, job)
                return
            except NothingSent:
                job.is_admitted = True
                reason: FoundryLocalError = ModelLoading(model.simple_name)
            except (ModelLoading, SystemExhausted) as error:
                if not job.is_admitted and self._server.state.status is not Status.SWITCHING:
                    raise
                reason = error
            await self._await_return(job, reason)

    async def _await_return(self, job: _Job, reason: FoundryLocalError) -> None:
        now = anyio.current_time()
        if job.deadline is None:
            job.deadline = now + RECOVERY_TIMEOUT_S
        if now >= job.deadline:
            raise reason
        # A look from time to time besides: what does not come back must be noticed, too.
        with anyio.move_on_after(min(RECOVERY_LOOK_S, job.deadline - now)):
            await self._server.pool.arrival()
        job.stats.load_s += anyio.current_time() - now

    async def _try(self, model: Model, job: _Job) -> None:
        began = anyio.current_time()
        async with self._server.lease(job.prepared.asked.model) as replica:
            job.stats.load_s += anyio.current_time() - began
            if replica.model.model_id != model.model_id:
                raise _Moved
            if job.endpoint.takes_slot:
                self._queue.set_limit(model.model_id, replica.spec.parallel)
            job.stats.context_size = replica.spec.context_size
            _refuse_unable(job, replica)
            exchange = Exchange(
                job.endpoint,
                job.prepared,
                job.stats,
                job.send,
                job.peer,
                lambda has_begun: self._why_gone(replica, has_begun),
                self._reader_timeout_s,
            )
            await relay(replica.address, exchange)

    async def _why_gone(self, replica: Replica, has_begun: bool) -> Exception:
        """Why a worker's connection broke: a stop that was asked for, a model that made room, or a crash."""
        if self._server.state.status not in SERVING:
            return ServerShuttingDown()
        # The connection ends a moment before the process is reaped, and only its end says why.
        with anyio.move_on_after(EXIT_NEWS_S):
            await replica.ended()
        if replica.lost_reason is None and replica.state is not State.READY:
            return ModelUnloaded() if has_begun else NothingSent()
        return WorkerCrashed(
            replica.lost_reason or "It closed the connection before the answer was complete."
        )


def _refuse_unable(job: _Job, replica: Replica) -> None:
    """Raise InvalidRequest when the model is not loaded for what is asked."""
    spec, wanted = replica.spec, job.endpoint.ability
    has = Ability.EMBED if spec.is_embedding else Ability.RERANK if spec.is_reranking else Ability.GENERATE
    if wanted not in (has, Ability.ANY):
        raise InvalidRequest(
            f"Model '{replica.model.simple_name}' cannot {wanted.value}",
            f"It is a model to {has.value}. Name another one in 'model'.",
            param="model",
        )
    if job.prepared.asked.wants_tools and not replica.address.can_call_tools and job.endpoint.takes_slot:
        raise InvalidRequest(
            f"Model '{replica.model.simple_name}' cannot call tools",
            "Its chat template has no place for them. Name another model, or leave the tools out.",
            param="tools",
        )
    if job.prepared.has_image and spec.projector_path is None:
        raise InvalidRequest(
            f"Model '{replica.model.simple_name}' cannot take images",
            "It has no vision projector. Name another model, or leave the images out.",
            param="messages",
        )
