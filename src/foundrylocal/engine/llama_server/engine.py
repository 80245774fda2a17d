"""A `llama-server` binary of the user as an engine: what it is, asked of the binary itself, and how a worker runs it.

Invariant: the binary is asked again when its file has changed, after FAILURE_REUSE_S when it could not be used, and,
where it has a GPU, for its devices when the answer is older than REUSE_S.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread

from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.engine.engine import EngineKind, EngineReport, EngineState, WorkerLaunch
from foundrylocal.engine.environment import worker_environment
from foundrylocal.engine.llama_cpp.command import order_fields
from foundrylocal.engine.llama_cpp.log import EngineLog
from foundrylocal.engine.llama_server import answers
from foundrylocal.engine.llama_server.binary import Problem, find_problem
from foundrylocal.engine.llama_server.llguidance import has_llguidance
from foundrylocal.engine.llama_server.probe import ProbeAnswer, ask_binary, probe_environment
from foundrylocal.engine.replica import ListenAddress, ReplicaSpec
from foundrylocal.errors import EngineUnavailable, SystemExhausted
from foundrylocal.kit.exhaustion import is_exhaustion

log = logging.getLogger("foundrylocal.FoundryLocalService")

ANSWER_TIMEOUT_S = 10.0
# A GPU driver that starts for the first time may take this long.
DEVICES_TIMEOUT_S = 20.0
REUSE_S = 5.0
FAILURE_REUSE_S = 60.0
WORKER = (sys.executable, "-P", "-m", "foundrylocal.worker.llama_server")
NO_LLGUIDANCE = (
    "This build has no llguidance, so requests that need a grammar (JSON schemas, required tool calls) are refused. "
    "Build llama.cpp with -DLLAMA_LLGUIDANCE=ON, or use the built-in engine for them."
)


class LlamaServer:
    """One binary, by the name that the `engines` setting gives it; `clock` is monotonic, in seconds."""

    kind = EngineKind.LLAMA_SERVER

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self.name = name
        self.path = path
        self._answer_timeout_s = answer_timeout_s
        self._clock = clock
        self._lock = anyio.Lock()
        self._identity: tuple[int, ...] | None = None
        self._report: EngineReport | None = None
        self._ask_at = -math.inf
        self._ask_devices_at = -math.inf

    def new_log(self) -> EngineLog:
        return EngineLog()

    @property
    def known_devices(self) -> tuple[Device, ...]:
        return self._report.devices if self._report else ()

    async def report(self) -> EngineReport:
        async with self._lock:
            identity = await anyio.to_thread.run_sync(_identity, self.path)
            if self._report is None or identity != self._identity or self._clock() >= self._ask_at:
                self._report = await self._examine()
                self._identity = identity
                self._ask_at = self._clock() + (math.inf if self._report.is_ready else FAILURE_REUSE_S)
                self._ask_devices_at = -math.inf
            if self._report.is_ready and self._clock() >= self._ask_devices_at:
                self._report = replace(self._report, devices=await self._ask_devices())
                self._ask_devices_at = self._clock() + self._reuse_devices_s(self._report)
            return self._report

    async def prepare(self, spec: ReplicaSpec, address: ListenAddress) -> WorkerLaunch:
        report = await self.report()
        if not report.is_ready:
            raise EngineUnavailable(self.name, report.message or "It is not ready.", report.action or "")
        order = order_fields(spec, address) | {
            "binary": str(self.path),
            "build": f"llama-server {report.version} {self._identity}",
            "flags": sorted(report.flags),
            "has_gpu": any(device.kind is not DeviceKind.ACCELERATOR for device in report.devices),
        }
        return WorkerLaunch(
            WORKER, self._environment(), json.dumps(order).encode() + b"\n", report.has_llguidance
        )

    def _environment(self) -> dict[str, str]:
        return probe_environment(self.path, worker_environment(os.environ))

    @staticmethod
    def _reuse_devices_s(report: EngineReport) -> float:
        return REUSE_S if report.devices else FAILURE_REUSE_S

    # --- what the binary says ---------------------------------------------------------------------------

    async def _examine(self) -> EngineReport:
        problem = await anyio.to_thread.run_sync(find_problem, self.path)
        if problem is not None:
            return self._not_ready(problem)
        version = await self._ask("--version")
        problem = answers.version_problem(self.path.name, version, self._answer_timeout_s)
        if problem is not None:
            return self._not_ready(problem)
        named, help_text = answers.read_version(version.text), await self._ask("--help")
        flags = answers.read_flags(help_text.text)
        problem = answers.answer_problem(
            self.path.name, "--help", help_text, self._answer_timeout_s
        ) or answers.flags_problem(self.path.name, flags)
        if problem is not None:
            return replace(self._not_ready(problem), version=named)
        knows_grammars = await anyio.to_thread.run_sync(has_llguidance, self.path)
        return EngineReport(
            EngineState.READY,
            named,
            message=None if knows_grammars else NO_LLGUIDANCE,
            has_llguidance=knows_grammars,
            flags=flags,
        )

    def _not_ready(self, problem: Problem) -> EngineReport:
        log.warning("Engine %s is %s: %s %s", self.name, problem.state, problem.message, problem.action)
        return EngineReport(problem.state, message=problem.message, action=problem.action)

    async def _ask_devices(self) -> tuple[Device, ...]:
        answer = await self._ask("--list-devices", DEVICES_TIMEOUT_S)
        if answer.exit_code != 0:
            reason = "it was too slow" if answer.exit_code is None else f"exit code {answer.exit_code}"
            log.warning("Engine %s did not report its devices (%s): planning for the CPU", self.name, reason)
            return ()
        return answers.read_devices(answer.text)

    async def _ask(self, argument: str, timeout_s: float | None = None) -> ProbeAnswer:
        try:
            return await ask_binary(
                self.path, argument, timeout_s or self._answer_timeout_s, self._environment()
            )
        except OSError as error:
            if is_exhaustion(error):
                raise SystemExhausted(str(error.strerror)) from None
            return ProbeAnswer("", None, start_error=error.strerror or str(error))


def _identity(path: Path) -> tuple[int, ...] | None:
    """What changes when the file does; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)
