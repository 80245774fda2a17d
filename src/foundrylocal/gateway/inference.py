"""One inference request from its bytes to its end: read, prepared, dispatched, and its figures noted."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from time import monotonic

import anyio

from foundrylocal.errors import FoundryLocalError, ServerShuttingDown
from foundrylocal.gateway.dialects.hosted_tools import known_name
from foundrylocal.gateway.errors import log_fault
from foundrylocal.gateway.flow.dispatch import Dispatcher
from foundrylocal.gateway.flow.relay import end_stream, end_stream_with
from foundrylocal.gateway.flow.slow_client import ClientStalled
from foundrylocal.gateway.limits.off_loop import OffLoop
from foundrylocal.gateway.ollama_port import is_on_ollama_port
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.routes import Route
from foundrylocal.gateway.stats.activity import Activity, RunningRequest
from foundrylocal.gateway.stats.captures import Captures
from foundrylocal.gateway.stats.metrics import Metrics
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.gateway.traces.tracing import Tracing
from foundrylocal.keys.api_key import Caller
from foundrylocal.keys.keyring import Keyring
from foundrylocal.kit.clock import now_s
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import Receive, Scope, Send, headers_named
from foundrylocal.web.body import ClientGone, read_body
from foundrylocal.web.errors import status_of
from foundrylocal.web.peer import PEER_EXTENSION, Peer

log = logging.getLogger("foundrylocal.FoundryLocalService")

REQUEST_HEADERS = "foundrylocal.request_headers"
"""Where an ASGI scope holds the headers that identify its request, for an error that is answered elsewhere."""
_MB = 1024 * 1024
# For the error of a request that is cut off by the end of its port.
LAST_WORDS_TIMEOUT_S = 1.0


class Inference:
    """Answers inference requests; each is counted once, however it ends."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        metrics: Metrics,
        settings: SettingsStore,
        keyring: Keyring,
        activity: Activity,
        captures: Captures,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing
        self._activity = activity
        self._captures = captures
        self._keyring = keyring
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._settings = settings
        self._checks = OffLoop()

    async def answer(self, route: Route, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of `caller`. Raises an error only before its answer has begun, and ClientGone."""
        raw = await read_body(scope, receive, self._settings.current.request_limit_mb * _MB)
        peer: Peer = scope["extensions"][PEER_EXTENSION]["peer"]
        stats = RequestStats(
            route.path, monotonic(), key=caller.name, client=_client_text(scope), at_s=now_s()
        )
        trace = None if self._tracing is None else self._tracing.begin(route.path, scope["headers"])
        if trace is not None:
            stats.trace_header = trace.header
        scope[REQUEST_HEADERS] = stats.identity_headers()
        with self._activity.running(stats) as running:
            try:
                self._keyring.admit(caller)
                await self._dispatch(route, caller, raw, scope, send, peer, running)
            except FoundryLocalError as error:
                stats.note_failure(error)
                stats.status = status_of(error)
                raise
            except ClientStalled:
                stats.note_outcome("client_stalled")
                peer.abort()
                raise ClientGone from None
            except Exception as fault:
                stats.outcome = "internal_error"
                if stats.first_s is None:
                    stats.status = 500
                    raise
                log_fault(log, f"an answer of {route.path}", fault)
                raise ClientGone from fault
            finally:
                stats.note_end()
                self._keyring.add_tokens(caller, (stats.tokens_in or 0) + (stats.tokens_out or 0))
                self._metrics.note(stats)
                if trace is not None:
                    trace.end(stats, raw)

    async def _dispatch(
        self,
        route: Route,
        caller: Caller,
        raw: bytes,
        scope: Scope,
        send: Send,
        peer: Peer,
        running: RunningRequest,
    ) -> None:
        stats = running.stats
        capture = self._captures.begin(stats.id, raw)
        if capture is not None:
            send = capture.tee_send(send)
        body, engine = await self._checks.run(partial(route.dialect.prepare, owner=caller.name), raw)
        stats.is_stream = body.is_stream
        stats.unsupported_tools = [known_name(kind) for kind in body.unsupported_tools]
        client = _client(scope, body.end_user)
        may_start = is_on_ollama_port(scope)
        request = InferenceRequest(
            route, body, engine, client, stats, send, peer, caller, may_start=may_start, capture=capture
        )
        try:
            with running.scope, peer.on_disconnect(running.scope.cancel):
                await self._dispatcher.answer(request)
        except FoundryLocalError as error:
            raise route.dialect.own_error(error, body) from error
        except asyncio.CancelledError:
            # The port closes: uvicorn cancels what has not ended within its grace.
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            with anyio.move_on_after(LAST_WORDS_TIMEOUT_S):
                await _end_with(ServerShuttingDown(), request)
                return
            raise
        if running.ended_with is not None and running.scope.cancelled_caught:
            await _end_with(running.ended_with, request)


async def _end_with(error: FoundryLocalError, request: InferenceRequest) -> None:
    """Tell the client why its request was ended. Raises the error when its answer has not begun, and ClientGone."""
    stats = request.stats
    if stats.first_s is None:
        raise error
    if request.is_answered or stats.outcome == "ok":
        await end_stream(request)  # it was complete when it was ended
        return
    if not stats.is_stream:
        request.peer.abort()  # a part of a whole answer must not look like all of it
        raise ClientGone
    await end_stream_with(error, request)


def _client_text(scope: Scope) -> str:
    """Who sent the request, for people: its address, and what its program calls itself."""
    peer = scope.get("client")
    program = b"".join(headers_named(scope, b"user-agent"))[:100].decode("latin-1")
    return f"{peer[0] if peer else ''} {program}".strip()


def _client(scope: Scope, end_user: str) -> str:
    """The client that the queue treats fairly among those with its key: its address, its program, the user it names.

    Programs of one machine share an address and often a key; their User-Agent distinguishes them.
    """
    peer = scope.get("client")
    program = b"".join(headers_named(scope, b"user-agent"))[:200].decode("latin-1")
    return f"{peer[0] if peer else ''}|{program}|{end_user[:200]}"
