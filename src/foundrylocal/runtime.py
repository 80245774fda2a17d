"""The composition root: builds the objects, runs both ports, handles signals.

Invariant: a service that cannot start says why in one line on stderr and leaves nothing running.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from foundrylocal.api.app import make_app
from foundrylocal.api.services import Services
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.ollama_names import aliased
from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import HubSource, Registry
from foundrylocal.doctor.service import Doctor
from foundrylocal.downloads.imports.importer import Importer
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.engine.engines import Engines
from foundrylocal.engine.launchers import make_launcher
from foundrylocal.engine.llama_cpp.capabilities import EngineDevices
from foundrylocal.engine.llama_cpp.engine import BuiltInEngine
from foundrylocal.engine.slot_files import HttpSlotEngine
from foundrylocal.errors import FoundryLocalError, PortInUse
from foundrylocal.gateway.app import Gateway
from foundrylocal.gateway.dialects.ollama.library.endpoints import OllamaLibrary
from foundrylocal.gateway.endpoints import Endpoint
from foundrylocal.gateway.model_control import ModelControl
from foundrylocal.gateway.ollama_port import HOST as OLLAMA_HOST
from foundrylocal.gateway.ollama_port import Keyless, OllamaPort
from foundrylocal.gateway.port import GatewayPortOpener
from foundrylocal.gateway.traces.tracing import open_tracing
from foundrylocal.home.folders import Folders, HomeUnusable
from foundrylocal.home.lock import hold_home
from foundrylocal.home.service_address import find_address, forget_address, recorded_address
from foundrylocal.keys.keyring import Keyring
from foundrylocal.kit.clock import now_s
from foundrylocal.kit.descriptors import raise_descriptor_limit
from foundrylocal.kit.loop_watchdog import LoopWatchdog
from foundrylocal.kit.standard_streams import print_line
from foundrylocal.kit.stop_signals import arm_second_signal, stop_signals
from foundrylocal.logs.redaction import Redaction
from foundrylocal.logs.ring import LogRing
from foundrylocal.logs.setup import Logging
from foundrylocal.pool.measured_times import FILE_NAME, MeasuredTimes
from foundrylocal.pool.planner import Planner
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.prompt_cache.prompt_cache import PromptCache, limit_bytes
from foundrylocal.pool.prompt_cache.store import PromptStore
from foundrylocal.pool.supply import Supply
from foundrylocal.server.desired import DesiredFile
from foundrylocal.server.models import ModelManager
from foundrylocal.server.presets import ModelPresets
from foundrylocal.server.server import Server
from foundrylocal.settings.exposure import exposure_problem
from foundrylocal.settings.key import KEY_NAME, load_or_make_key
from foundrylocal.settings.store import SettingsStore
from foundrylocal.tuning.tuner import Tuner
from foundrylocal.web.asgi import App
from foundrylocal.web.listener import MANAGEMENT_SHARE, Listener, bind_or_name_owner
from foundrylocal.web.security import CallerCheck, allowed_names

if TYPE_CHECKING:
    from foundrylocal.engine.launchers import AnyLauncher

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

SHUTDOWN_TIMEOUT_S = 8.0
GRACE_S = 1.0


def serve(*, host: str | None = None, port: int | None = None, verbose: bool = False) -> int:
    """Run the service until a signal ends it; blocking. Returns the exit code: 0, 1 failed, 2 refused."""
    level = "DEBUG" if verbose else None
    given = {"api_host": host, "api_port": port, "default_log_level": level}
    try:
        return anyio.run(_serve, given, verbose, backend_options={"use_uvloop": sys.platform != "win32"})
    except KeyboardInterrupt:
        return 0
    except Exception as error:
        cause = _only_cause(error)
        if not isinstance(cause, FoundryLocalError | OSError):
            raise
        print(f"foundrylocal: {_one_line(cause)}", file=sys.stderr)
        return 2 if isinstance(cause, FoundryLocalError) and not isinstance(cause, PortInUse) else 1


def _only_cause(error: BaseException) -> BaseException:
    """The one error in nested groups of one; task groups wrap what ends them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _one_line(error: FoundryLocalError | OSError) -> str:
    if isinstance(error, FoundryLocalError):
        text = f"{error.message}. {error.details or ''}"
    else:
        place = f" ({error.filename})" if error.filename else ""
        text = f"The service cannot run: {error.strerror or error}{place}."
    return " ".join(text.split())


async def _serve(given: dict[str, Any], verbose: bool) -> int:
    raise_descriptor_limit()
    folders = Folders.locate()
    folders.create()
    with hold_home(folders.state):
        forget_address(folders.state)
        ring, redaction = LogRing(int(now_s() * 1000)), Redaction()
        with Logging(ring, redaction, folders.logs, "INFO", is_verbose=verbose) as logging_:
            store = SettingsStore(folders.config, given)
            logging_.set_level(store.current.default_log_level)
            store.on_change(lambda settings: logging_.set_level(settings.default_log_level))
            if (problem := exposure_problem(store.current)) is not None:
                raise FoundryLocalError(
                    "Refusing to listen beyond this machine without a management key", problem
                )
            key = _load_key(folders)
            redaction.add(key)
            redaction.add(store.current.management_key)
            store.on_change(lambda settings: redaction.add(settings.management_key))
            sockets = await bind_or_name_owner(store.current.api_host, store.current.api_port)
            await _run(folders, store, ring, key, sockets)
    return 0


def _load_key(folders: Folders) -> str:
    try:
        return load_or_make_key(folders.state)
    except OSError as error:
        raise HomeUnusable(folders.state / KEY_NAME, error.strerror or str(error)) from None


@dataclass(frozen=True, slots=True)
class _Assembly:
    """The program, put together: what runs in the background, in order, and what answers in front of it."""

    parts: tuple[Any, ...]
    server: Server
    app: App
    prompt_cache: PromptCache


@dataclass(frozen=True, slots=True)
class _Models:
    """What fetches, plans and loads models; the server and both ports stand on it."""

    registry: Registry
    downloads: DownloadManager
    launcher: AnyLauncher
    supply: Supply
    devices: EngineDevices
    engines: Engines
    times: MeasuredTimes
    presets: PresetStore
    planner: Planner
    prompt_cache: PromptCache
    pool: Pool


def _assemble_models(folders: Folders, store: SettingsStore, library: Library) -> _Models:
    registry = Registry.load()
    times = MeasuredTimes(folders.state / FILE_NAME)
    hub = HuggingFaceFetcher(allowed_hosts=lambda: store.current.hub_allowed_hosts)
    downloads = DownloadManager(
        registry,
        library,
        state_dir=folders.state,
        fetchers={HubSource: hub},
        note_transfer=times.note_transfer,
    )
    devices = EngineDevices()
    built_in = BuiltInEngine(store.current.worker_command, devices)
    engines = Engines(built_in, lambda: _configured_engines(store))
    saved_prompts = PromptStore(folders.state / "prompt-cache", limit_bytes(store.current))
    launcher = make_launcher(folders.state, store, engines, saved_prompts.folder, library, registry)
    prompt_cache = PromptCache(saved_prompts, HttpSlotEngine(), store)
    supply, presets = Supply(library, downloads), PresetStore(folders.config)
    planner = Planner(
        supply,
        launcher,
        store,
        engines.report,
        times,
        presets,
        lambda name: registry.find(aliased(name, store.current.aliases)),
    )
    pool = Pool(launcher, planner, store, prompt_cache)
    return _Models(
        registry, downloads, launcher, supply, devices, engines, times, presets, planner, prompt_cache, pool
    )


def _assemble(folders: Folders, store: SettingsStore, library: Library, ring: LogRing, key: str) -> _Assembly:
    models = _assemble_models(folders, store, library)
    port_opener = GatewayPortOpener(store, lambda: gateway_app)
    server = _make_server(folders, models, store, port_opener, key)
    keyring = Keyring(folders.state)
    model_manager = ModelManager(server, models.pool, models.supply, store, models.presets)
    importer = Importer(models.registry, models.downloads.imported)
    tuner = Tuner(models.pool, models.presets)
    doctor = Doctor(folders, store, models.registry, library, server, models.devices.list)
    tracing = open_tracing(lambda: store.current.trace_prompts)
    gateway = Gateway(
        server,
        library,
        store,
        models.launcher.kill,
        keyring,
        models.presets,
        _make_endpoints(models, server, library, store, model_manager, importer),
        tracing,
        find_dashboard=lambda: find_address(folders.state),
    )
    gateway_app = _checked(gateway, gateway, store, lambda: store.current.gateway_host)
    ollama_port = OllamaPort(store, _checked(Keyless(gateway), gateway, store, lambda: OLLAMA_HOST))
    services = Services(
        server,
        models.registry,
        library,
        models.downloads,
        store,
        ring,
        model_manager,
        importer,
        gateway,
        models.planner,
        doctor,
        keyring,
        ModelPresets(models.presets, models.pool, store),
        models.prompt_cache,
        models.engines,
        tuner,
        store.current.cluster_address,
    )
    parts = (
        *(() if tracing is None else (tracing.run,)),
        keyring.run,
        models.times.run,
        models.prompt_cache.run,
        models.launcher.run,
        models.pool.run,
        tuner.run,
        models.downloads.run,
        port_opener.run,
        server.run,
        gateway.run,
        ollama_port.run,
    )
    return _Assembly(parts, server, make_app(services), models.prompt_cache)


def _make_endpoints(
    models: _Models,
    server: Server,
    library: Library,
    store: SettingsStore,
    manager: ModelManager,
    importer: Importer,
) -> dict[str, Endpoint]:
    """What the gateway answers without an engine: Ollama's endpoints on models, and loading by clients."""
    ollama = OllamaLibrary(
        server, models.registry, library, models.downloads, importer, manager, store, models.presets
    )
    return {**ollama.endpoints, **ModelControl(server, manager).endpoints}


def _make_server(
    folders: Folders, models: _Models, store: SettingsStore, port_opener: GatewayPortOpener, key: str
) -> Server:
    return Server(
        registry=models.registry,
        supply=models.supply,
        pool=models.pool,
        launcher=models.launcher,
        settings=store,
        port_opener=port_opener,
        desired=DesiredFile(folders.state),
        api_key=key,
    )


def _checked(app: App, gateway: Gateway, store: SettingsStore, bound_host: Callable[[], str]) -> CallerCheck:
    """An app of the gateway behind the check of Host and Origin."""
    return CallerCheck(
        app,
        lambda: allowed_names(store.current.allowed_hosts, bound_host()),
        lambda: store.current.allowed_origins,
        gateway.send_refusal,
    )


async def _run(folders: Folders, store: SettingsStore, ring: LogRing, key: str, sockets: list[Any]) -> None:
    library = Library(Path(store.current.cache_dir))
    store.on_change(lambda settings: library.set_cache_dir(Path(settings.cache_dir)))
    await anyio.to_thread.run_sync(library.sweep)
    program = _assemble(folders, store, library, ring, key)
    listener = Listener(program.app, sockets, descriptor_share=MANAGEMENT_SHARE)
    # From here on a signal ends the service in order, even one that arrives before the port is announced.
    with stop_signals() as signals, LoopWatchdog().watching():
        async with _running(*program.parts) as group, anyio.create_task_group() as front:
            await front.start(listener.serve)
            with recorded_address(folders.state, listener.url):
                print_line(f"FoundryLocal API listening on {listener.url}")
                log.info("FoundryLocal API listening on %s", listener.url)
                if sys.stdout is not None and sys.stdout.isatty():
                    # Programs that start the service read one line.
                    print_line(f"Dashboard: {listener.url}/")
                front.start_soon(program.server.load_at_start)
                await anext(signals)
            arm_second_signal()
            with anyio.move_on_after(SHUTDOWN_TIMEOUT_S, shield=True):
                log.info("Shutting down")
                program.prompt_cache.service_ends()
                await _shut_down(program.server, ring, listener)
            front.cancel_scope.cancel()
            group.cancel_scope.cancel()


async def _configured_engines(store: SettingsStore) -> Mapping[str, str]:
    """The setting `engines` as the file has it now: `foundrylocal engine add` writes there beside the service."""
    return (await anyio.to_thread.run_sync(store.refresh)).engines


@contextlib.asynccontextmanager
async def _running(*parts: Any) -> AsyncIterator[anyio.abc.TaskGroup]:
    """Run each part in a task group of its own; start them in order and end them in reverse order."""
    async with contextlib.AsyncExitStack() as stack:
        group: anyio.abc.TaskGroup | None = None
        for part in parts:
            group = await stack.enter_async_context(anyio.create_task_group())
            await group.start(part)
            stack.callback(group.cancel_scope.cancel)
        assert group is not None  # noqa: S101 - there are parts
        yield group


async def _shut_down(server: Server, ring: LogRing, listener: Listener) -> None:
    server.refuse_starts()
    await server.stop()
    ring.close()
    server.state.changes.close()
    await listener.close(GRACE_S)
