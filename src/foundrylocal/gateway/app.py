"""The ASGI app of the gateway's port: key, path, body, answer. Plain ASGI, since every token passes here."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

import anyio
import msgspec

from foundrylocal.catalog.library import Library, Stored
from foundrylocal.catalog.presets import PresetStore
from foundrylocal.errors import (
    EndpointNotFound,
    FoundryLocalError,
    InternalError,
    MethodNotAllowed,
    ModelLoading,
    ModelNotFound,
)
from foundrylocal.gateway import root_page
from foundrylocal.gateway.access import Access
from foundrylocal.gateway.dialects.responses.kept import answer_kept, is_kept_path
from foundrylocal.gateway.dialects.responses.store import ResponseStore
from foundrylocal.gateway.endpoints import READ_METHODS, Call, Endpoint
from foundrylocal.gateway.errors import client_headers, log_fault
from foundrylocal.gateway.flow.dispatch import Dispatcher
from foundrylocal.gateway.flow.queue import FairQueue, QueueStats
from foundrylocal.gateway.flow.replica_watch import ReplicaWatch
from foundrylocal.gateway.flow.slow_client import READER_TIMEOUT_S
from foundrylocal.gateway.flow.stuck import Kill, StuckEngines
from foundrylocal.gateway.inference import REQUEST_HEADERS, Inference
from foundrylocal.gateway.model_control import describe_loading
from foundrylocal.gateway.models import OfferedModel, render_model, render_models
from foundrylocal.gateway.ollama_port import OLLAMA_ROOT_TEXT, is_on_ollama_port
from foundrylocal.gateway.root_page import render_root_page
from foundrylocal.gateway.routes import build_routes, error_dialect
from foundrylocal.gateway.stats.activity import Activity
from foundrylocal.gateway.stats.captures import Captures
from foundrylocal.gateway.stats.metrics import Metrics, Totals
from foundrylocal.gateway.traces.tracing import Tracing
from foundrylocal.gateway.wrong_paths import MODELS_PATH, ROOT_TEXT, hint_for
from foundrylocal.keys.api_key import Caller
from foundrylocal.keys.keyring import Keyring
from foundrylocal.kit.contain import contain
from foundrylocal.server.server import Server
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import Receive, Scope, Send, headers_named, send_whole
from foundrylocal.web.body import ClientGone
from foundrylocal.web.errors import send_error, status_of
from foundrylocal.web.keys import has_key

log = logging.getLogger("foundrylocal.FoundryLocalService")


_RESPONSES = "/v1/responses/"
OLLAMA_PREFIX = "/api/"


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
        endpoints: Mapping[str, Endpoint],
        tracing: Tracing | None = None,
        *,
        find_dashboard: Callable[[], str | None] = lambda: None,
        reader_timeout_s: float = READER_TIMEOUT_S,
    ) -> None:
        self._server = server
        self._find_dashboard = find_dashboard
        self._access = Access(server, settings, keyring)
        self._endpoints = endpoints
        self._library = library
        self._responses = ResponseStore(lambda: settings.current.responses_kept)
        self._routes = build_routes(self._responses)
        self._queue = FairQueue(lambda: settings.current.queue_size)
        self._replica_watch = ReplicaWatch(server, self._queue)
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
        keyring.on_removed(self._responses.remove_all_of)
        keyring.on_removed(self._metrics.forget_key)

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look after the engines that requests are under way on, and after the replicas, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(contain, log, self._replica_watch.run)
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
        await self.send_error(scope, send, error)

    async def send_error(self, scope: Scope, send: Send, error: FoundryLocalError) -> None:
        """Send an error in the shape of the dialect that the path belongs to."""
        if isinstance(error, ModelLoading):
            error.loading = describe_loading(error, self._server)
        body = error_dialect(scope["path"], self._routes).error_body(error)
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        headers = [*client_headers(error), *scope.get(REQUEST_HEADERS, ())]
        await send_whole(send, status_of(error), data, headers)

    async def send_refusal(self, scope: Scope, send: Send, error: FoundryLocalError) -> None:
        """Refuse a caller: the published shape of that is one for all paths but Ollama's."""
        if scope["path"].startswith(OLLAMA_PREFIX):
            await self.send_error(scope, send, error)
        else:
            await send_error(send, error)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if path in ("/", "/health"):
            _allow(READ_METHODS, method, path)
            await (self._send_health(send) if path == "/health" else self._send_root(scope, send))
            return
        endpoint = self._endpoints.get(path)
        caller = self._identify(scope, is_change=endpoint is not None and endpoint.is_change)
        if endpoint is not None:
            _allow(endpoint.methods, method, path)
            await endpoint.handler(Call(scope, receive, send, caller))
            return
        route = self._routes.get(path)
        if route is not None:
            _allow(("POST",), method, path)
            await self._inference.answer(route, caller, scope, receive, send)
        elif path == MODELS_PATH or path.startswith(MODELS_PATH + "/"):
            _allow(READ_METHODS, method, path)
            await self._send_models(path.removeprefix(MODELS_PATH).removeprefix("/"), caller, send)
        elif path.startswith(_RESPONSES) and is_kept_path(path.removeprefix(_RESPONSES)):
            await self._send_kept(scope, caller, send)
        else:
            error = EndpointNotFound(method, path[:200])
            error.details = hint_for(path, self._routes)
            raise error

    def _identify(self, scope: Scope, *, is_change: bool) -> Caller:
        """Who calls. Raises what `Access.identify` raises, and counts it."""
        try:
            return self._access.identify(scope, is_change=is_change)
        except FoundryLocalError as error:
            path = scope["path"]
            self._metrics.note_refused(path if path in (*self._routes, MODELS_PATH) else None, error.code)
            raise

    async def _send_root(self, scope: Scope, send: Send) -> None:
        """What this port is: Ollama's clients look for its own words before they call anything else."""
        is_browser = any(b"text/html" in value for value in headers_named(scope, b"accept"))
        if is_browser and not is_on_ollama_port(scope):
            page = render_root_page(await anyio.to_thread.run_sync(self._find_dashboard))
            await send_whole(send, 200, page, root_page.HEADERS, root_page.CONTENT_TYPE)
            return
        is_client = has_key(scope, self._server.api_key)
        text = OLLAMA_ROOT_TEXT if is_on_ollama_port(scope) or is_client else ROOT_TEXT
        await send_whole(send, 200, text.encode(), content_type=b"text/plain; charset=utf-8")

    async def _send_kept(self, scope: Scope, caller: Caller, send: Send) -> None:
        """A call about a response that is kept."""
        method, path = scope["method"], scope["path"]
        _allow(("GET",) if path.endswith("/input_items") else ("GET", "DELETE"), method, path)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        body = answer_kept(self._responses, method, path.removeprefix(_RESPONSES), query, caller.name)
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
            body = render_model(self._offered(stored))
        else:
            stored_models = await anyio.to_thread.run_sync(self._library.all)
            offered = [self._offered(one) for one in stored_models if caller.may_use(one.model_id)]
            body = render_models([one for one in offered if one.model is None or not one.model.is_adapter])
        await send_whole(send, 200, json.dumps(body).encode())

    def _offered(self, stored: Stored) -> OfferedModel:
        try:
            model = self._server.resolve(stored.model_id)
        except ModelNotFound:  # a model that is on disk and not in the registry any more
            return OfferedModel(stored)
        return OfferedModel(stored, model, self._server.pool.load_state(model))


def _allow(methods: tuple[str, ...], method: str, path: str) -> None:
    if method not in methods:
        raise MethodNotAllowed(method, path[:200], methods)
