"""The ASGI app of the gateway's port: key, path, body, answer. Plain ASGI, since every token passes here."""

from __future__ import annotations

import json
import logging
from urllib.parse import parse_qsl

import anyio
import msgspec

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.presets import PresetStore
from foundrylocal.errors import (
    EndpointNotFound,
    FoundryLocalError,
    InternalError,
    InvalidApiKey,
    MethodNotAllowed,
    ModelLoading,
    ModelNotFound,
)
from foundrylocal.gateway.dialects.responses.kept import answer_kept, is_kept_path
from foundrylocal.gateway.dialects.responses.store import ResponseStore
from foundrylocal.gateway.errors import client_headers, log_fault
from foundrylocal.gateway.flow.dispatch import Dispatcher
from foundrylocal.gateway.flow.queue import FairQueue, QueueStats
from foundrylocal.gateway.flow.slow_client import READER_TIMEOUT_S
from foundrylocal.gateway.flow.stuck import Kill, StuckEngines
from foundrylocal.gateway.inference import REQUEST_HEADERS, Inference
from foundrylocal.gateway.models import render_model, render_models
from foundrylocal.gateway.routes import build_routes, error_dialect
from foundrylocal.gateway.stats.activity import Activity
from foundrylocal.gateway.stats.captures import Captures
from foundrylocal.gateway.stats.metrics import Metrics, Totals
from foundrylocal.gateway.traces.tracing import Tracing
from foundrylocal.gateway.wrong_paths import MODELS_PATH, ROOT_TEXT, hint_for
from foundrylocal.keys.api_key import PUBLISHED_CALLER, Caller, KeyScope
from foundrylocal.keys.keyring import Keyring
from foundrylocal.server.server import Server
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import Receive, Scope, Send, send_whole
from foundrylocal.web.body import ClientGone
from foundrylocal.web.errors import status_of
from foundrylocal.web.keys import has_key, key_of

log = logging.getLogger("foundrylocal.FoundryLocalService")


_READ = ("GET", "HEAD")
_RESPONSES = "/v1/responses/"


class Gateway:
    """The ASGI app of the gateway's port."""

    def __init__(
        self,
        server: Server,
        library: Library,
        settings: SettingsStore,
        kill_replica: Kill,
        keyring: Keyring,
        presets: PresetStore,
        tracing: Tracing | None = None,
        *,
        reader_timeout_s: float = READER_TIMEOUT_S,
    ) -> None:
        self._server = server
        self._keyring = keyring
        self._library = library
        self._responses = ResponseStore(lambda: settings.current.responses_kept)
        self._routes = build_routes(self._responses)
        self._queue = FairQueue(lambda: settings.current.queue_size)
        self._metrics = Metrics(self._queue, keyring.has)
        self._stuck = StuckEngines(kill_replica)
        dispatcher = Dispatcher(
            server, self._queue, settings, self._stuck, keyring, presets, reader_timeout_s=reader_timeout_s
        )
        self.activity = Activity(lambda: settings.current.requests_kept)
        self.captures = Captures(lambda: settings.current.capture_requests)
        settings.on_change(lambda settings: self.captures.trim())
        self._inference = Inference(
            dispatcher, self._metrics, settings, keyring, self.activity, self.captures, tracing
        )
        keyring.on_removed(self.activity.end_of_key)
        keyring.on_removed(self._metrics.forget_key)

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look after the engines that requests are under way on, until cancelled."""
        await self._stuck.run(task_status=task_status)

    # --- figures ----------------------------------------------------------------------------------------

    def queues(self) -> dict[str, QueueStats]:
        """The queues as they are now, by model id."""
        return self._queue.snapshot()

    @property
    def totals(self) -> Totals:
        """The totals since the service started."""
        return self._metrics.totals

    def render_metrics(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return self._metrics.render()

    # --- requests ---------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
            return
        except ClientGone:
            return
        except FoundryLocalError as caught:
            error = caught
        except Exception as fault:  # noqa: BLE001 - it is logged
            log_fault(log, f"{scope['method']} {scope['path']}", fault)
            error = InternalError()
        body = error_dialect(scope["path"], self._routes).error_body(error)
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = [*client_headers(error), *scope.get(REQUEST_HEADERS, ())]
        await send_whole(send, status_of(error), data, headers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path in ("/", "/health"):
            _allow(_READ, method, path)
            await (self._send_health if path == "/health" else _send_root)(send)
            return
        caller = self._identify(scope)
        route = self._routes.get(path)
        if route is not None:
            _allow(("POST",), method, path)
            await self._inference.answer(route, caller, scope, receive, send)
        elif path == MODELS_PATH or path.startswith(MODELS_PATH + "/"):
            _allow(_READ, method, path)
            await self._send_models(path.removeprefix(MODELS_PATH).removeprefix("/"), caller, send)
        elif path.startswith(_RESPONSES) and is_kept_path(path.removeprefix(_RESPONSES)):
            await self._send_kept(scope, send)
        else:
            error = EndpointNotFound(method, path[:200])
            error.details = hint_for(path, self._routes)
            raise error

    def _identify(self, scope: Scope) -> Caller:
        """Who calls. Raises InvalidApiKey, KeyExpired, ScopeNotAllowed."""
        try:
            if has_key(scope, self._server.api_key):
                return PUBLISHED_CALLER
            caller = self._keyring.identify(key_of(scope))
            if caller is None:
                raise InvalidApiKey
            caller.check_scope(KeyScope.INFERENCE)
            return caller
        except FoundryLocalError as error:
            path = scope["path"]
            self._metrics.note_refused(path if path in (*self._routes, MODELS_PATH) else None, error.code)
            raise

    async def _send_kept(self, scope: Scope, send: Send) -> None:
        """A call about a response that is kept."""
        method, path = scope["method"], scope["path"]
        _allow(("GET",) if path.endswith("/input_items") else ("GET", "DELETE"), method, path)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        body = answer_kept(self._responses, method, path.removeprefix(_RESPONSES), query)
        await send_whole(send, 200, msgspec.json.encode(body))

    async def _send_health(self, send: Send) -> None:
        now = self._server.snapshot()
        if not now.is_running:
            raise ModelLoading(now.current.simple_name if now.current else None)
        await send_whole(send, 200, b'{"status":"ok"}')

    async def _send_models(self, name: str, caller: Caller, send: Send) -> None:
        """The models that the caller may use, or one of them."""
        if name:
            model = self._server.resolve(name)
            caller.check_model(model.model_id, model.simple_name)
            stored = await anyio.to_thread.run_sync(self._library.get, model.model_id)
            if stored is None:
                raise ModelNotFound(name[:200])
            body = render_model(stored)
        else:
            stored_models = await anyio.to_thread.run_sync(self._library.all)
            body = render_models([one for one in stored_models if caller.may_use(one.model_id)])
        await send_whole(send, 200, json.dumps(body).encode())


async def _send_root(send: Send) -> None:
    await send_whole(send, 200, ROOT_TEXT.encode(), content_type=b"text/plain; charset=utf-8")


def _allow(methods: tuple[str, ...], method: str, path: str) -> None:
    if method not in methods:
        raise MethodNotAllowed(method, path[:200], methods)
