"""One worker process from its start to its end: the owner of its pipes and its state.

Invariant: the process has been reaped when `run` returns, cancelled or not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import psutil

from foundrylocal.engine.engine import WorkerLaunch
from foundrylocal.engine.llama_cpp.diagnosis import WorkerExit, diagnose
from foundrylocal.engine.llama_cpp.log import EngineLog, without_folders
from foundrylocal.engine.local.platform import processes
from foundrylocal.engine.replica import (
    Address,
    ListenAddress,
    ReplicaSpec,
    ReplicaState,
    ReplicaStatus,
)
from foundrylocal.errors import FoundryLocalError, ServerStartFailed
from foundrylocal.kit.exhaustion import is_exhaustion, require_room_for_process

STOP_TIMEOUT_S = 5.0
KILL_TIMEOUT_S = 5.0
DRAIN_TIMEOUT_S = 1.0
LINES_PER_TURN = 32
KILLED = "The worker did not answer, so the service ended it."
_LINE_LIMIT = 64 * 1024


class WorkerProcess:
    """A replica on this machine; `run` holds it, and everything else asks."""

    def __init__(
        self,
        spec: ReplicaSpec,
        address: ListenAddress,
        launch: WorkerLaunch,
        engine_log: EngineLog,
        incarnation: int,
        on_state: Callable[[WorkerProcess], None],
    ) -> None:
        self.spec = spec
        self.incarnation = incarnation
        self.state = ReplicaState.PENDING
        self.reason: str | None = None
        self.failure: FoundryLocalError | None = None  # why it ended before it was ready
        self.is_exhausted = False  # the system had no descriptors or processes left to start it
        self.endpoint: Address | None = None
        self.settled = anyio.Event()  # ready, or ended before it was
        self.ended = anyio.Event()
        self.can_shorten_spin = False  # known when it is ready
        self._address = address
        self._launch = launch
        self._on_state = on_state
        self._engine_log = engine_log
        self._engine_pid: int | None = None  # of an engine that is a child of the worker
        self._process: asyncio.subprocess.Process | None = None
        self._is_stop_asked = False
        self._is_killed = False
        self._most_resident_bytes = 0
        self._out_of_memory_kills: int | None = None

    # --- what others ask --------------------------------------------------------------------------------

    @property
    def engine_pid(self) -> int | None:
        """The process that computes: the worker, or a child of it."""
        return self._engine_pid or (self._process.pid if self._process else None)

    @property
    def threads(self) -> int | None:
        """Its engine's threads; None is the engine's own default."""
        return self.spec.options.threads

    def status(self) -> ReplicaStatus:
        pid = self._process.pid if self._process else None
        return ReplicaStatus(
            self.spec.id, self.spec.model_id, self.state, self.reason, pid, self.memory_bytes()
        )

    def shorten_spin(self, is_short: bool) -> None:
        """Tell a ready worker how long its engine's threads may spin while they wait for each other."""
        if self._process is not None and self._process.stdin is not None and not self._is_stop_asked:
            order = json.dumps({"command": "spin", "is_short": is_short})
            with contextlib.suppress(ConnectionError, RuntimeError):  # it is ending
                self._process.stdin.write(order.encode() + b"\n")

    def memory_bytes(self) -> int:
        """Resident memory; while loading a mapped file it grows with what is loaded."""
        if self._process is None or self.ended.is_set():
            return 0
        with contextlib.suppress(psutil.Error):
            pid = self._engine_pid or self._process.pid
            resident_bytes = int(psutil.Process(pid).memory_info().rss)
            self._most_resident_bytes = max(self._most_resident_bytes, resident_bytes)
            return resident_bytes
        return 0

    def log_line_count(self) -> int:
        """How many lines the engine has logged so far."""
        return self._engine_log.line_count

    async def stop(self) -> None:
        """TERM, then KILL the group after STOP_TIMEOUT_S; returns when it is reaped."""
        self._is_stop_asked = True
        if self._process is None:
            await self.ended.wait()
            return
        with anyio.CancelScope(shield=True):
            if self._process.stdin:
                self._process.stdin.close()
            processes.terminate(self._process.pid)
            with anyio.move_on_after(STOP_TIMEOUT_S):
                await self.ended.wait()
                return
            processes.kill(self._process.pid)
            with anyio.move_on_after(KILL_TIMEOUT_S):
                await self.ended.wait()

    def kill(self) -> None:
        """KILL the group at once; `ended` is set when it is reaped."""
        if self._process is None:
            self._is_stop_asked = True  # it is about to be started: `run` ends it then
        elif not self.ended.is_set():
            self._is_killed = self._process.returncode is None
            processes.kill(self._process.pid)

    # --- the process --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Start the process and see it through to its end."""
        try:
            if self._is_stop_asked or not await self._spawn():
                return
            assert self._process is not None  # noqa: S101 - _spawn said so
            try:
                if not self._is_stop_asked:  # a stop may have come while the system made the process
                    await self._attend(self._process)
            finally:
                with anyio.CancelScope(shield=True):
                    processes.kill(self._process.pid)
                    await self._process.wait()
        finally:
            self._finish()

    async def _spawn(self) -> bool:
        try:
            require_room_for_process()
            self._out_of_memory_kills = processes.count_out_of_memory_kills()
            self._process = await asyncio.create_subprocess_exec(
                *self._launch.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_LIMIT,
                env=self._launch.environment,
                **processes.spawn_options(),
            )
        except OSError as error:
            self.is_exhausted = is_exhaustion(error)
            self.reason = f"The worker process could not be started: {error.strerror or error}."
            return False
        processes.adopt(self._process.pid)
        self._move(ReplicaState.LOADING)
        return True

    async def _attend(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101 - all three are pipes
        # It died at once: its exit says more than the pipe. uvloop raises RuntimeError once it has closed that.
        with contextlib.suppress(ConnectionError, RuntimeError):
            process.stdin.write(self._launch.order)
            await process.stdin.drain()
        async with anyio.create_task_group() as group:
            group.start_soon(self._read_reports, process.stdout)
            group.start_soon(self._read_log, process.stderr)
            await process.wait()
            # What it wrote last is still in the pipes; a grandchild may hold them open for ever.
            group.cancel_scope.deadline = anyio.current_time() + DRAIN_TIMEOUT_S

    async def _read_reports(self, stream: asyncio.StreamReader) -> None:
        async for line in _lines(stream):
            try:
                report: Any = json.loads(line)
                event = report["event"]
            except (ValueError, KeyError, TypeError):
                continue
            if event == "started":
                self._engine_pid = report.get("pid")
            elif event == "ready":
                self._engine_log.start_serving()
                self.can_shorten_spin = report.get("can_shorten_spin") is True
                url = str(report.get("address") or f"unix://{self._address.socket}")
                self.endpoint = Address(
                    url,
                    self._address.api_key,
                    self.incarnation,
                    build=str(report.get("build") or ""),
                    slot_folder=self._address.slot_folder,
                    has_llguidance=self._launch.has_llguidance,
                )
                self._move(ReplicaState.READY)
                self.settled.set()
            elif event == "failed":
                self.reason = without_folders(str(report.get("reason") or ""))

    async def _read_log(self, stream: asyncio.StreamReader) -> None:
        count = 0
        async for line in _lines(stream):
            self._engine_log.add(line)
            count += 1
            if count % LINES_PER_TURN == 0:
                await anyio.lowlevel.checkpoint()  # lines that are buffered already come without one

    def _finish(self) -> None:
        code = self._process.returncode if self._process else None
        if self._is_stop_asked:
            self._move(ReplicaState.STOPPED)
        else:
            if self.endpoint or self._is_killed:
                self.reason = KILLED if self._is_killed else processes.describe_exit(code or 0)
            else:
                self.failure = self._diagnose(code)
                self.reason = self.failure.details
            self._move(ReplicaState.FAILED)
        self.endpoint = None
        if self._address.socket:
            with contextlib.suppress(OSError):
                self._address.socket.unlink(missing_ok=True)
        self.settled.set()
        self.ended.set()

    def _diagnose(self, code: int | None) -> FoundryLocalError:
        if code is None:
            return ServerStartFailed(self.reason or "The worker process could not be started.")
        before, now = self._out_of_memory_kills, processes.count_out_of_memory_kills()
        end = WorkerExit(
            code,
            processes.describe_exit(code),
            self._engine_log.last_lines(),
            self._engine_log.reason(self.reason) or self.reason,
            self._most_resident_bytes,
            was_out_of_memory=before is not None and now is not None and now > before,
        )
        return diagnose(end, self.spec)

    def _move(self, state: ReplicaState) -> None:
        self.state = state
        self._on_state(self)


async def _lines(stream: asyncio.StreamReader) -> Any:
    """Lines as text; one longer than the limit is cut, since an error would stop the reading of the pipe."""
    while True:
        try:
            line = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as end:
            line = end.partial
        except asyncio.LimitOverrunError as long:
            line = await stream.readexactly(long.consumed or _LINE_LIMIT)
        if not line:
            return
        yield line.decode("utf-8", "replace")
