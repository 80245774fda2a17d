"""The doctor's list: every check with the real probe behind it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil

import foundrylocal
from foundrylocal.catalog.memory import available_bytes, estimate_from_size
from foundrylocal.catalog.registry import Model
from foundrylocal.doctor import engine, network, ports, storage
from foundrylocal.doctor.finding import Finding
from foundrylocal.doctor.runner import Check, Shared, in_thread
from foundrylocal.downloads.space import RESERVE_BYTES, free_bytes
from foundrylocal.engine.devices import Device
from foundrylocal.home.folders import Folders
from foundrylocal.kit.clock import now_s
from foundrylocal.settings.schema import Settings

_MB = 1024 * 1024
_SET_HOME = "set FOUNDRYLOCAL_HOME to another folder"
_SET_CACHE = "choose another one: foundrylocal config cache_dir=FOLDER"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined. `own_ports` are those that the service that asks listens on itself."""

    folders: Folders
    settings: Settings
    starter: Model
    load_starter: Callable[[], Awaitable[float | None]]
    devices: Callable[[], Awaitable[Sequence[Device]]]
    own_ports: frozenset[int] = frozenset()
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)


def standard_checks(subject: Subject) -> list[Check]:
    """All checks, in the order in which they are shown."""
    return [
        *_storage_checks(subject),
        *_port_checks(subject),
        *_engine_checks(subject),
        *_network_checks(subject),
    ]


def _storage_checks(subject: Subject) -> list[Check]:
    folders, cache = subject.folders, Path(subject.settings.cache_dir)
    places = (
        ("config_folder", folders.config, _SET_HOME),
        ("state_folder", folders.state, _SET_HOME),
        ("cache_folder", cache, _SET_CACHE),
    )
    checks = [
        Check(name, in_thread(partial(storage.check_folder, folder, other, storage.write_problem)))
        for name, folder, other in places
    ]
    space = partial(storage.check_space, cache, RESERVE_BYTES, free_bytes)
    return [
        *checks,
        Check("disk_space", in_thread(space)),
        Check("memory", in_thread(partial(_memory, subject))),
    ]


def _memory(subject: Subject) -> Finding:
    settings = subject.settings
    budget_mb = settings.memory_budget_mb
    return storage.check_memory(
        available_bytes(),
        psutil.virtual_memory().total,
        settings.memory_reserve_mb * _MB,
        None if budget_mb is None else budget_mb * _MB,
        estimate_from_size(subject.starter.file_size_bytes).total_bytes,
    )


def _port_checks(subject: Subject) -> list[Check]:
    settings = subject.settings
    used = (
        ("api_port", settings.api_host, settings.api_port),
        ("port", settings.gateway_host, settings.port),
    )
    return [
        Check(
            name if name == "api_port" else "gateway_port",
            in_thread(
                partial(
                    ports.check_port,
                    host,
                    port,
                    name,
                    is_ours=port in subject.own_ports,
                    bind_problem=ports.bind_problem,
                )
            ),
        )
        for name, host, port in used
    ]


def _engine_checks(subject: Subject) -> list[Check]:
    about = Shared(engine.ask_engine)

    async def check_engine() -> Finding:
        return engine.check_engine(await about.get())

    async def check_processor() -> Finding:
        return engine.check_processor(await about.get(), engine.read_cpu_flags(), engine.machine_name())

    async def check_devices() -> Finding:
        return engine.check_devices(await subject.devices(), engine.find_gpu_signs())

    async def check_starter() -> Finding:
        return await engine.check_starter(subject.starter.simple_name, subject.load_starter)

    limit_s = engine.ANSWER_TIMEOUT_S + 1
    return [
        Check("engine", check_engine, limit_s),
        Check("processor", check_processor, limit_s),
        Check("devices", check_devices, limit_s),
        Check("starter_load", check_starter, engine.LOAD_TIMEOUT_S + 5),
    ]


def _network_checks(subject: Subject) -> list[Check]:
    environment = subject.environment
    endpoint = network.hub_endpoint(environment)
    ask = network.hub_asker(endpoint, now_s)

    def check_clock() -> Finding:
        installed_s = Path(foundrylocal.__file__).stat().st_mtime
        return network.check_clock(now_s(), installed_s, None if network.is_offline(environment) else ask())

    return [
        Check("clock", in_thread(check_clock)),
        Check("proxy", in_thread(partial(network.check_proxy, environment))),
        Check("hub", in_thread(partial(network.check_hub, endpoint, environment, ask))),
    ]
