"""The built-in engine: llama.cpp in the `xllamacpp` package, run by our own worker.

Invariant: the package is never imported into the service, whose process a broken driver could take down.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from foundrylocal.engine.devices import Device
from foundrylocal.engine.engine import BUILT_IN, EngineKind, EngineReport, EngineState, WorkerLaunch
from foundrylocal.engine.environment import worker_environment
from foundrylocal.engine.llama_cpp.capabilities import EngineDevices
from foundrylocal.engine.llama_cpp.command import order_fields
from foundrylocal.engine.llama_cpp.log import EngineLog
from foundrylocal.engine.replica import ListenAddress, ReplicaSpec
from foundrylocal.errors import EngineUnavailable

WORKER = (sys.executable, "-P", "-m", "foundrylocal.worker")
_REINSTALL = "Install it again: pip install --force-reinstall xllamacpp."


class BuiltInEngine:
    """`command` is another worker that speaks the same protocol, from the setting `worker_command`."""

    name = BUILT_IN
    kind = EngineKind.BUILT_IN

    def __init__(self, command: Sequence[str] = (), devices: EngineDevices | None = None) -> None:
        self._command = tuple(command) or WORKER
        self._devices = devices or EngineDevices()

    def new_log(self) -> EngineLog:
        return EngineLog()

    @property
    def known_devices(self) -> tuple[Device, ...]:
        return self._devices.known

    async def report(self) -> EngineReport:
        installed = _installed_version()
        if installed is None:
            return EngineReport(
                EngineState.MISSING, message="The package xllamacpp is not installed.", action=_REINSTALL
            )
        devices = await self._devices.list()
        if self._devices.lacks_instructions:
            return EngineReport(
                EngineState.INCOMPATIBLE,
                installed,
                message="The package xllamacpp uses instructions that this processor does not have.",
                action="Build it here (pip install --no-binary xllamacpp xllamacpp), or add a llama-server binary "
                "for this processor: foundrylocal engine add NAME PATH.",
            )
        return EngineReport(EngineState.READY, installed, devices)

    async def prepare(self, spec: ReplicaSpec, address: ListenAddress) -> WorkerLaunch:
        if self._command == WORKER and not (report := await self.report()).is_ready:
            raise EngineUnavailable(self.name, report.message or "", report.action or "")
        order = json.dumps(order_fields(spec, address)).encode() + b"\n"
        return WorkerLaunch(self._command, worker_environment(os.environ), order)


@cache
def _installed_version() -> str | None:
    try:
        return f"xllamacpp {version('xllamacpp')}"
    except PackageNotFoundError:
        return None
