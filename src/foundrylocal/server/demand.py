"""What a request may demand before it is answered: that the server runs, and that its model has a certain context.

Invariant: a context that was asked for is loaded or refused, never cut. A replica with a larger one is good enough,
so that requests with different wishes do not reload the model in turn.
"""

from __future__ import annotations

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import InvalidRequest, ModelLoading, OperationInProgress, ServerShuttingDown
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.plan import Plan
from foundrylocal.pool.roster import Replica
from foundrylocal.server.parts import ServerParts
from foundrylocal.server.requests import ServerInfo, StartRequest
from foundrylocal.server.start import Start
from foundrylocal.server.state import Status
from foundrylocal.server.switch import Switch
from foundrylocal.wire.load_options import LoadOptions

_NOT_RUNNING = (Status.STOPPED, Status.ERROR)


class Demand:
    """Sees to both; one start is begun and one larger context is loaded at a time."""

    def __init__(self, parts: ServerParts, start: Start, switch: Switch) -> None:
        self._parts = parts
        self._start = start
        self._switch = switch
        self._start_lock = anyio.Lock()
        self._context_lock = anyio.Lock()
        self._begun: Operation[ServerInfo] | None = None  # the last start of a request
        self._may_start = True

    def refuse_starts(self) -> None:
        """The service is ending: no request starts the server any more."""
        self._may_start = False

    async def start_if_stopped(self, model: Model, context_tokens: int | None) -> None:
        """Start the server with the model when nothing runs, or wait for such a start of another request.

        Raises what a start raises.
        """
        async with self._start_lock:
            if self._begun is not None:
                await self._begun.ended()  # the client that wanted it may have left
            if self._parts.state.status in _NOT_RUNNING:
                await self._start_with(model, context_tokens)

    async def _start_with(self, model: Model, context_tokens: int | None) -> None:
        if not self._may_start:
            raise ServerShuttingDown
        request = self._request(model, LoadOptions(context_size=context_tokens))
        if context_tokens is not None:
            await self._plan(model, request.options, context_tokens)
        try:
            self._begun = await self._start.begin(model, request)
        except OperationInProgress:
            raise ModelLoading(model.simple_name) from None
        await self._begun.result()

    async def provide_context(self, model: Model, tokens: int) -> None:
        """Load the model with a context of at least `tokens`, in place of a smaller one.

        Raises InvalidRequest when the model has none so large, and what a load raises.
        """
        if _has_context(self._parts.pool.get(model), tokens):
            return  # without a wait for the loads of others
        async with self._context_lock:
            if _has_context(await self._parts.pool.settled(model), tokens):
                return
            own = self._parts.current.options_of(model)
            options = (own or LoadOptions()).model_copy(update={"context_size": tokens})
            plan = await self._plan(model, options, tokens)
            if own is not None:
                await self._reload_own(model, options)
            else:
                plan.raise_if_refused()
                assert plan.spec is not None  # noqa: S101 - its files are there
                await self._parts.pool.load(model, plan.spec, may_interrupt=False)

    async def _plan(self, model: Model, options: LoadOptions, tokens: int) -> Plan:
        plan = await self._parts.pool.plan(model, options)
        if plan.files is None:
            await self._parts.supply.require(model)  # raises ModelNotDownloaded
        if plan.options.context_size < tokens:
            largest = plan.options.context_size
            raise InvalidRequest(
                f"Model '{model.simple_name}' does not support a context of {tokens} tokens",
                f"Its maximum context is {largest} tokens: ask for that or less.",
                param="options.num_ctx",
            )
        return plan

    async def _reload_own(self, model: Model, options: LoadOptions) -> None:
        """The server's own model is replaced as by a switch, so that a failure leaves it as it was."""
        try:
            await (await self._switch.begin(model, self._request(model, options))).result()
        except OperationInProgress:
            raise ModelLoading(model.simple_name) from None

    def _request(self, model: Model, options: LoadOptions) -> StartRequest:
        return StartRequest(model.model_id, may_download=False, options=options)


def _has_context(replica: Replica | None, tokens: int) -> bool:
    return replica is not None and replica.spec.context_size >= tokens
