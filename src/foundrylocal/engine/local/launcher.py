"""The launcher of this machine: worker processes, each on a UNIX socket in a folder only the user can enter."""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.abc
import psutil

from foundrylocal.catalog.memory import available_bytes
from foundrylocal.engine.client import can_call_tools, opens_thoughts
from foundrylocal.engine.cpu.cores import read_cores
from foundrylocal.engine.cpu.threads import auto_threads
from foundrylocal.engine.engine import BUILT_IN
from foundrylocal.engine.engines import Engines
from foundrylocal.engine.health_check import check_health
from foundrylocal.engine.launcher import MAX_KILL_S, STOPPED_BEFORE_READY
from foundrylocal.engine.local.crowd_watch import CrowdWatch
from foundrylocal.engine.local.platform import processes
from foundrylocal.engine.local.process import WorkerProcess
from foundrylocal.engine.local.socket_folder import SocketFolder
from foundrylocal.engine.node import NodeStatus, own_versions
from foundrylocal.engine.replica import (
    Address,
    Adopted,
    Cause,
    ListenAddress,
    ReplicaEvent,
    ReplicaSpec,
    ReplicaState,
    ReplicaStatus,
    Room,
)
from foundrylocal.errors import ServerStartFailed, ServerStartTimeout, SystemExhausted, WorkerCrashed
from foundrylocal.kit.broadcast import Broadcast, Subscription
from foundrylocal.kit.contain import contain
from foundrylocal.kit.exhaustion import is_exhaustion

log = logging.getLogger("foundrylocal.FoundryLocalService")

FIRST_PROBE_TIMEOUT_S = 10.0
PROGRESS_PERIOD_S = 0.5
# A load without a time limit of its own: how long it may make no progress, and how long it may take at most.
STALL_TIMEOUT_S = 180.0
MAX_LOAD_S = 86_400.0
# Less memory than that comes and goes without any progress.
MIN_PROGRESS_BYTES = 1024 * 1024


class LocalLauncher:
    """The owner of all worker processes of this service; they end with `run`.

    `replicas_of` is how many replicas the model with an id is to have here at least.
    With `host` they are reached from other machines: each listens on a port of that address, and has a random key.
    """

    def __init__(
        self,
        state_dir: Path,
        engines: Engines,
        budget_bytes: Callable[[], int | None] = lambda: None,
        slot_folder: Callable[[], Path | None] = lambda: None,
        replicas_of: Callable[[str], int] = lambda model_id: 1,
        host: str | None = None,
    ) -> None:
        self._host = host
        self._budget_bytes = budget_bytes
        self._slot_folder = slot_folder
        self._replicas_of = replicas_of
        self._engines = engines
        self._sockets = SocketFolder(state_dir / "run-folder")
        self._workers: dict[str, WorkerProcess] = {}
        self._events: Broadcast[ReplicaEvent] = Broadcast()
        self._incarnations = itertools.count(1)
        self._group: anyio.abc.TaskGroup | None = None
        self._crowd_watch = CrowdWatch(lambda: list(self._workers.values()))

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold the workers until cancelled; then end every one of them."""
        if self._has_sockets:
            await anyio.to_thread.run_sync(self._sockets.ensure)
        try:
            async with anyio.create_task_group() as group:
                self._group = group
                group.start_soon(contain, log, self._crowd_watch.run)
                task_status.started()
                try:
                    await anyio.sleep_forever()
                finally:
                    with anyio.CancelScope(shield=True):
                        await self.close()
        finally:
            self._group = None
            self._sockets.remove()

    async def rooms(self, spec: ReplicaSpec | None = None, reserve_bytes: int = 0) -> list[Room]:
        """This machine: the one room there is, and it has the files of every model.

        Its GPUs are those that the model's engine reported last: a plan asks the engine before it asks here.
        """
        gpus = self._engines.known_gpus((spec.options.engine or BUILT_IN) if spec else None)
        return [Room("", await self._free_bytes(reserve_bytes), gpus=gpus)]

    async def node_statuses(self, reserve_bytes: int = 0) -> list[NodeStatus]:
        """This machine alone."""
        with suppress(SystemExhausted):
            await self._engines.reports()
        free = await self._free_bytes(reserve_bytes)
        total, budget = psutil.virtual_memory().total, self._budget_bytes()
        return [
            NodeStatus(
                "",
                "127.0.0.1",
                is_service=True,
                memory_bytes=total if budget is None else min(total, budget),
                free_bytes=max(0, free),
                gpus=self._engines.known_gpus(),
                versions=own_versions(),
            )
        ]

    async def _free_bytes(self, reserve_bytes: int) -> int:
        """What is available, less mapped files (their pages count as available) and what loads will yet take.

        Of a model on a GPU only the layers that stay here count.
        """
        free = await anyio.to_thread.run_sync(available_bytes) - reserve_bytes
        for worker in self._workers.values():
            is_loaded, spec = worker.state is ReplicaState.READY, worker.spec
            free -= min(spec.file_bytes, spec.memory_bytes) if is_loaded else spec.memory_bytes
        budget = self._budget_bytes()
        if budget is not None:
            # The estimate, or what it really took where that is more: pages not touched yet are not given away.
            taken = sum(max(one.spec.memory_bytes, one.memory_bytes()) for one in self._workers.values())
            free = min(free, budget - taken)
        return free

    async def adopted(self) -> list[Adopted]:
        """None: no worker on this machine outlives its service."""
        return []

    async def launch(self, spec: ReplicaSpec, node: str = "") -> str:
        folder = await self._socket_folder() if self._has_sockets else None
        slots = await anyio.to_thread.run_sync(self._slot_folder)
        spec = await self._with_threads(spec)
        incarnation = next(self._incarnations)
        socket = folder / f"{incarnation}.sock" if folder else None
        key = "" if socket else secrets.token_urlsafe(32)
        address = ListenAddress(socket, self._host or "127.0.0.1", 0, key, slots)
        engine = await self._engines.get(spec.options.engine)
        launch = await engine.prepare(spec, address)
        # From here to the end nothing is awaited: a worker that runs is always one that `stop` finds.
        if spec.id in self._workers:
            return spec.id
        if self._group is None:
            raise ServerStartFailed("The service is shutting down.")
        worker = WorkerProcess(spec, address, launch, engine.new_log(), incarnation, self._tell)
        self._workers[spec.id] = worker
        self._crowd_watch.note_worker()
        self._group.start_soon(contain, log, self._see_through, worker)
        return spec.id

    @property
    def _has_sockets(self) -> bool:
        """Whether its workers listen on UNIX sockets; else each on a port, with a key of its own."""
        return self._host is None and processes.HAS_UNIX_SOCKETS

    async def _with_threads(self, spec: ReplicaSpec) -> ReplicaSpec:
        """With a number of threads where an engine that counts the machine's cores would start too many.

        Replicas of a model that is to have several here share the cores.
        """
        if spec.options.threads is not None:
            return spec
        cores = await anyio.to_thread.run_sync(read_cores)
        threads = auto_threads(cores, self._replicas_of(spec.model_id))
        return replace(spec, options=spec.options.model_copy(update={"threads": threads}))

    async def _socket_folder(self) -> Path:
        try:
            return await anyio.to_thread.run_sync(self._sockets.ensure)
        except OSError as error:
            if is_exhaustion(error):
                raise SystemExhausted(str(error.strerror)) from None
            reason = f"The folder for the workers' sockets cannot be created: {error.strerror}."
            raise ServerStartFailed(reason) from None

    async def _see_through(self, worker: WorkerProcess) -> None:
        try:
            await worker.run()
        finally:
            self._workers.pop(worker.spec.id, None)

    def _tell(self, worker: WorkerProcess) -> None:
        cause = Cause.WORKER if worker.state is ReplicaState.FAILED else None
        event = ReplicaEvent(worker.spec.id, worker.incarnation, worker.state, worker.reason, cause=cause)
        self._events.publish(event)

    async def wait_ready(
        self,
        replica: str,
        timeout_s: float | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> Address:
        worker = self._workers.get(replica)
        if worker is None:
            raise ServerStartFailed(STOPPED_BEFORE_READY)
        with anyio.move_on_after(MAX_LOAD_S if timeout_s is None else timeout_s) as limit:
            await _wait_settled(worker, STALL_TIMEOUT_S if timeout_s is None else None, on_progress)
            if worker.endpoint is None:
                await worker.ended.wait()
                if worker.is_exhausted:
                    raise SystemExhausted("No process can be started")
                raise worker.failure or ServerStartFailed(worker.reason or STOPPED_BEFORE_READY)
            endpoint = worker.endpoint
            try:
                first_probe_s = await self.probe(replica, FIRST_PROBE_TIMEOUT_S)
            except WorkerCrashed as error:
                raise ServerStartFailed(worker.reason or error.details or error.message) from None
            return replace(
                endpoint,
                can_call_tools=await can_call_tools(endpoint, FIRST_PROBE_TIMEOUT_S),
                opens_thoughts=await opens_thoughts(endpoint, FIRST_PROBE_TIMEOUT_S),
                first_probe_s=first_probe_s,
            )
        assert limit.cancelled_caught  # noqa: S101 - the block returns or raises otherwise
        raise ServerStartTimeout(timeout_s or MAX_LOAD_S)

    async def probe(self, replica: str, timeout_s: float) -> float:
        worker = self._workers.get(replica)
        if worker is None or worker.endpoint is None:
            raise WorkerCrashed((worker.reason if worker else None) or "The worker is not running.")
        return await check_health(worker.endpoint, timeout_s)

    async def inspect(self, replica: str) -> ReplicaStatus | None:
        worker = self._workers.get(replica)
        return await anyio.to_thread.run_sync(worker.status) if worker else None

    async def list(self) -> list[ReplicaStatus]:
        workers = list(self._workers.values())
        return await anyio.to_thread.run_sync(lambda: [worker.status() for worker in workers])

    async def stop(self, replica: str) -> None:
        worker = self._workers.get(replica)
        if worker is not None:
            await worker.stop()

    async def kill(self, replica: str) -> None:
        worker = self._workers.get(replica)
        if worker is not None:
            worker.kill()
            with anyio.move_on_after(MAX_KILL_S):
                await worker.ended.wait()

    def events(self) -> Subscription[ReplicaEvent]:
        return self._events.subscribe()

    async def close(self) -> None:
        workers = list(self._workers.values())
        async with anyio.create_task_group() as group:
            for worker in workers:
                if worker.state not in (ReplicaState.FAILED, ReplicaState.STOPPED):
                    group.start_soon(worker.stop)
        if self._group is not None:
            self._group.cancel_scope.cancel()


async def _wait_settled(
    worker: WorkerProcess, stall_s: float | None, on_progress: Callable[[float], None] | None
) -> None:
    """Wait until it is ready or has ended; raises ServerStartTimeout when it makes no progress for `stall_s`.

    Progress is memory that it fills or a line that the engine logs. Work of the processor is not: a worker that spins
    for ever works too.
    """
    expected_bytes = max(1, worker.spec.file_bytes, worker.spec.memory_bytes)
    most_bytes, line_count, moved_at = 0, 0, anyio.current_time()
    while not worker.settled.is_set():
        with anyio.move_on_after(PROGRESS_PERIOD_S):
            await worker.settled.wait()
            return
        resident_bytes = await anyio.to_thread.run_sync(worker.memory_bytes)
        if on_progress is not None:
            on_progress(min(0.99, resident_bytes / expected_bytes))
        lines = worker.log_line_count()
        if resident_bytes >= most_bytes + MIN_PROGRESS_BYTES or lines != line_count:
            most_bytes, line_count, moved_at = resident_bytes, lines, anyio.current_time()
        elif stall_s is not None and anyio.current_time() - moved_at > stall_s:
            raise ServerStartTimeout(stall_s)
