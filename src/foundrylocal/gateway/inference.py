"""One inference request from its bytes to its end: read, prepared, dispatched, and its figures noted."""

from __future__ import annotations

import logging
from time import monotonic

import anyio

from foundrylocal.errors import FoundryLocalError
from foundrylocal.gateway.dialects.hosted_tools import known_name
from foundrylocal.gateway.errors import log_fault
from foundrylocal.gateway.flow.dispatch import Dispatcher
from foundrylocal.gateway.flow.slow_client import ClientStalled
from foundrylocal.gateway.limits.off_loop import OffLoop
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.routes import Route
from foundrylocal.gateway.stats.metrics import Metrics
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import Receive, Scope, Send, headers_named
from foundrylocal.web.body import ClientGone, read_body
from foundrylocal.web.errors import status_of
from foundrylocal.web.peer import PEER_EXTENSION, Peer

log = logging.getLogger("foundrylocal.FoundryLocalService")

_MB = 1024 * 1024


class Inference:
    """Answers inference requests; each is counted once, however it ends."""

    def __init__(self, dispatcher: Dispatcher, metrics: Metrics, settings: SettingsStore) -> None:
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._settings = settings
        self._checks = OffLoop()

    async def answer(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises an error only before its answer has begun, and ClientGone."""
        raw = await read_body(scope, receive, self._settings.current.request_limit_mb * _MB)
        peer: Peer = scope["extensions"][PEER_EXTENSION]["peer"]
        stats = RequestStats(route.path, monotonic())
        try:
            await self._dispatch(route, raw, scope, send, peer, stats)
        except FoundryLocalError as error:
            stats.outcome, stats.status = error.code, status_of(error)
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
            self._metrics.note(stats)

    async def _dispatch(
        self, route: Route, raw: bytes, scope: Scope, send: Send, peer: Peer, stats: RequestStats
    ) -> None:
        body, engine = await self._checks.run(route.dialect.prepare, raw)
        stats.is_stream = body.is_stream
        stats.unsupported_tools = [known_name(kind) for kind in body.unsupported_tools]
        client = _client(scope, body.end_user)
        request = InferenceRequest(route, body, engine, client, stats, send, peer)
        with anyio.CancelScope() as while_there, peer.on_disconnect(while_there.cancel):
            await self._dispatcher.answer(request)


def _client(scope: Scope, end_user: str) -> str:
    """The client that the queue treats fairly: the peer's address, its program, and the user that it names.

    All programs of one machine share an address and, here, a key; what they call themselves tells them apart.
    """
    peer = scope.get("client")
    program = b"".join(headers_named(scope, b"user-agent"))[:200].decode("latin-1")
    return f"{peer[0] if peer else ''}|{program}|{end_user[:200]}"
