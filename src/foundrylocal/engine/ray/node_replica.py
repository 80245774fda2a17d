"""One replica on its node: brings its files, runs its worker, says what happens, and ends when its lease is over.

It is what an actor does; it knows nothing of Ray, so that it can be tested without a cluster. Invariant: a replica
that has ended has no worker left, and says why it ended.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import anyio

from foundrylocal.catalog.library import Library
from foundrylocal.engine.engines import Engines
from foundrylocal.engine.llama_cpp.engine import BuiltInEngine
from foundrylocal.engine.local.launcher import LocalLauncher
from foundrylocal.engine.ray import failures
from foundrylocal.engine.ray.lease import Lease
from foundrylocal.engine.ray.node_models import NodeModels
from foundrylocal.engine.ray.orders import FileServerAddress, NodeOrder, Phase, Update
from foundrylocal.engine.replica import Cause, ReplicaState
from foundrylocal.errors import FoundryLocalError
from foundrylocal.kit.changes import Changes

log = logging.getLogger("foundrylocal.FoundryLocalService")

# A share that has hardly changed is no news: each piece of news is a call over the network.
MIN_SHARE_STEP = 0.01


class NodeReplica:
    """Runs one order; the link renews the lease by watching."""

    def __init__(self, order: NodeOrder, library: Library, lease: Lease) -> None:
        self.order = order
        self._lease = lease
        self._update = Update(0, Phase.BEGUN)
        self._changes = Changes()
        self._stop_asked = anyio.Event()
        self._files_at: FileServerAddress | None = None
        self._models = NodeModels(order, library, lambda: self._files_at)
        self._launcher = LocalLauncher(
            Path(tempfile.gettempdir()),
            Engines(BuiltInEngine(order.worker_command), self._configured_engines),
            slot_folder=lambda: order.slot_folder,
            host=order.node,
        )

    async def _configured_engines(self) -> dict[str, str]:
        return self.order.engines

    @property
    def latest(self) -> Update:
        """Its newest update."""
        return self._update

    # --- what the link asks -------------------------------------------------------------------------------

    async def watch(self, seen: int, wait_s: float, files_at: FileServerAddress | None) -> Update:
        """The newest update, as soon as its number is past `seen`, after `wait_s` at the latest; renews the lease."""
        self._lease.renew()
        self._files_at = files_at
        with anyio.move_on_after(wait_s):
            await self._changes.wait_until(lambda: self._update.number > seen)
        return await self._with_process(self._update)

    async def stop(self) -> None:
        """End the worker; returns when it has ended."""
        self._stop_asked.set()
        await self._changes.wait_until(lambda: self._update.phase.is_final)

    async def _with_process(self, update: Update) -> Update:
        status = await self._launcher.inspect(self.order.spec.id)
        if status is None:
            return update
        return replace(update, pid=status.pid, memory_bytes=status.memory_bytes)

    # --- its life -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the order to its end: a stop, a failure, a crash, or the end of the lease."""
        try:
            async with anyio.create_task_group() as group:
                await group.start(self._launcher.run)
                group.start_soon(self._until_first, group.cancel_scope)
                await self._serve()
                group.cancel_scope.cancel()
        except Exception as error:
            log.exception("Unexpected error in replica %s", self.order.spec.id)
            self._fail(error, Cause.WORKER)
        finally:
            self._models.release()
            if not self._update.phase.is_final:
                self._say(Phase.STOPPED)

    async def _until_first(self, scope: anyio.CancelScope) -> None:
        """End everything when a stop is asked for or the lease is over."""
        while not self._stop_asked.is_set():
            if self._lease.is_over:
                log.warning("Replica %s ends: its service has not renewed it", self.order.spec.id)
                break
            with anyio.move_on_after(self._lease.check_period_s):
                await self._stop_asked.wait()
        scope.cancel()

    async def _serve(self) -> None:
        """Bring the files, load, and return when the worker has ended or there is none."""
        try:
            self._say(Phase.FILES)
            spec = await self._models.bring(lambda share: self._progress(Phase.FILES, share))
        except (FoundryLocalError, OSError) as error:
            self._fail(error, Cause.FILES)
            return
        self._say(Phase.LOADING)
        with self._launcher.events() as events:
            try:
                await self._launcher.launch(spec)
                address = await self._launcher.wait_ready(
                    spec.id, None, lambda share: self._progress(Phase.LOADING, share)
                )
            except FoundryLocalError as error:
                self._fail(error, Cause.WORKER)
                return
            self._say(Phase.READY, share=1.0, address=address)
            async for event in events:
                if event.state in (ReplicaState.FAILED, ReplicaState.STOPPED):
                    self._say(Phase.FAILED, reason=event.reason, cause=Cause.WORKER.value)
                    return

    # --- what it says -------------------------------------------------------------------------------------

    def _progress(self, phase: Phase, share: float) -> None:
        if share - self._update.share >= MIN_SHARE_STEP:
            self._say(phase, share=share)

    def _fail(self, error: Exception, cause: Cause) -> None:
        fields = failures.encode(error)
        reason = fields["details"] or fields["message"]
        self._say(Phase.FAILED, reason=reason, failure=fields, cause=cause.value)

    def _say(self, phase: Phase, **facts: object) -> None:
        self._update = Update(self._update.number + 1, phase, **facts)  # type: ignore[arg-type]
        self._changes.notify()
