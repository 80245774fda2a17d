"""Tuning: measures what suits a model on this machine, and saves the best as its preset.

Invariants: it runs on replicas of its own, for which nobody leaves memory; it stops measuring as soon as a request
comes, and takes at most MAX_TUNE_S; one model is tuned at a time, and its callers share the operation.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import anyio.abc
import anyio.to_thread

from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model
from foundrylocal.engine.cpu.cores import Cores, read_cores
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.errors import (
    FoundryLocalError,
    InsufficientMemory,
    InvalidRequest,
    ModelNotDownloaded,
    OperationInProgress,
)
from foundrylocal.events import Measure, Progress
from foundrylocal.kit.operation import Operation
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.supply import ModelFiles
from foundrylocal.tuning.calm import Calm
from foundrylocal.tuning.measure import CONTEXT_TOKENS, measure
from foundrylocal.tuning.outcome import Trial, Tuned, describe
from foundrylocal.tuning.search import Choice, Search, Speed, thread_counts
from foundrylocal.wire.load_options import LoadOptions

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

MAX_TUNE_S = 115.0
LOAD_TIMEOUT_S = 60.0
STAGE = "tuning"


class TuningInProgress(OperationInProgress):
    """Another model is being tuned; both would distort each other's measurements."""

    def __init__(self, name: str) -> None:
        FoundryLocalError.__init__(
            self,
            f"Another operation is in progress: model '{name}' is being tuned",
            "It takes at most two minutes. Wait for it, or cancel it: DELETE /tune.",
        )


class Tuner:
    """The owner of the tuning under way; `run` must be running."""

    def __init__(
        self,
        pool: Pool,
        presets: PresetStore,
        *,
        cores: Callable[[], Cores] = read_cores,
        measure: Callable[[Address], Awaitable[Speed]] = measure,
    ) -> None:
        self._pool = pool
        self._presets = presets
        self._cores = cores
        self._measure = measure
        self._calm = Calm(lambda: sum(replica.in_flight for replica in pool.in_memory()))
        self._tasks = TaskHost(log)
        self._running: tuple[Model, Operation[Tuned]] | None = None
        self._count = 0

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold the tuning under way, until cancelled."""
        async with self._tasks.open():
            task_status.started()
            await anyio.sleep_forever()

    def tune(self, model: Model) -> Operation[Tuned]:
        """Begin to tune the model, or share the tuning of it that is under way. Raises TuningInProgress."""
        if self._running is not None:
            if self._running[0] is model:
                return self._running[1]
            raise TuningInProgress(self._running[0].simple_name)
        operation: Operation[Tuned] = Operation(f"Tuning {model.simple_name}")
        self._tasks.spawn(self._operate, model, operation)
        self._running = model, operation
        return operation

    async def cancel(self) -> bool:
        """End the tuning under way, saving nothing; False when there is none."""
        if self._running is None:
            return False
        operation = self._running[1]
        operation.cancel()
        await operation.ended()
        return True

    async def _operate(self, model: Model, operation: Operation[Tuned]) -> None:
        try:
            await operation.run(lambda: self._tune(model, operation), lambda tuned: tuned.message, _log_fault)
        finally:
            self._running = None

    async def _tune(self, model: Model, operation: Operation[Tuned]) -> Tuned:
        spec, files = await self._subject(model)
        operation.admit()
        operation.report(Progress(f"Tuning {model.simple_name}; this takes at most two minutes"))
        cores = await anyio.to_thread.run_sync(self._cores)
        options = spec.options
        own_threads = max(1, math.floor(cores.usable))
        search = Search(
            Choice(options.threads, options.batch_tokens, options.kv_cache_type),
            thread_counts(own_threads, len(cores.cpus)),
            own_threads,
        )
        session = _Session(self, operation, spec, files, search)
        with anyio.move_on_after(MAX_TUNE_S):
            await session.explore()
        return await self._save(model, session.outcome(model))

    async def _subject(self, model: Model) -> tuple[ReplicaSpec, ModelFiles]:
        """What would run without tuning. Raises ModelNotDownloaded, ModelCorrupted, InvalidRequest."""
        plan = await self._pool.plan(model, LoadOptions())
        if plan.spec is None or plan.files is None:
            raise ModelNotDownloaded
        if plan.spec.is_embedding or plan.spec.is_reranking:
            raise InvalidRequest(
                f"Model '{model.simple_name}' cannot be tuned",
                "Tuning measures models that generate text; this one makes embeddings or ranks documents.",
                param="model_name",
            )
        return plan.spec, plan.files

    async def speed(self, spec: ReplicaSpec) -> Speed:
        """The speed of a replica of its own, loaded while nobody is served.

        Raises ModelsBusy, and what `Pool.trial` and the measurement raise.
        """
        while True:
            await self._calm.wait()
            self._count += 1
            trial = replace(spec, id=f"{spec.model_id}#tune{self._count}")

            async def work(trial: ReplicaSpec = trial) -> Speed:
                async with self._pool.trial(trial, LOAD_TIMEOUT_S) as address:
                    return await self._measure(address)

            if (speed := await self._calm.run(work)) is not None:
                return speed

    async def _save(self, model: Model, tuned: Tuned) -> Tuned:
        if tuned.changes:
            await anyio.to_thread.run_sync(self._presets.change, model.model_id, tuned.changes)
            log.info("Preset of %s saved: %s", model.simple_name, tuned.message)
        return tuned


class _Session:
    """One tuning: what was measured so far."""

    def __init__(
        self,
        tuner: Tuner,
        operation: Operation[Tuned],
        spec: ReplicaSpec,
        files: ModelFiles,
        search: Search,
    ) -> None:
        self._tuner = tuner
        self._operation = operation
        self._spec = spec
        self._files = files
        self._search = search
        self._trials: list[Trial] = []
        self._began_s = anyio.current_time()
        self._longest_step_s = 0.0
        self._confirmed: tuple[Speed, Speed] | None = None

    async def explore(self) -> None:
        """Measure what the search wants while there is time, then confirm it. Raises what the first step raises."""
        search = self._search
        candidates = search.candidates()
        choice = next(candidates)
        while True:
            speed = await self._step(choice)
            try:
                choice = candidates.send(speed)
            except StopIteration:
                break
            # Confirming takes two steps, which must still fit.
            if self._left_s() < 3.5 * self._longest_step_s:
                break
        if search.best != search.start:
            start, best = await self._step(search.start), await self._step(search.best)
            if start is not None and best is not None:
                self._confirmed = start, best

    async def _step(self, choice: Choice) -> Speed | None:
        """Its speed; None when it cannot be loaded, unless it is the first: then its error is raised."""
        began_s = anyio.current_time()
        try:
            speed = await self._tuner.speed(self._spec_of(choice))
        except FoundryLocalError as error:
            if not self._trials or isinstance(error, OperationInProgress | InsufficientMemory):
                raise
            self._report(f"{describe(choice)}: {error.message}")
            return None
        self._longest_step_s = max(self._longest_step_s, anyio.current_time() - began_s)
        self._trials.append(Trial(choice, speed))
        self._report(f"{describe(choice)}: {speed.prefill:.0f} prompt and {speed.decode:.1f} answer tokens/s")
        return speed

    def _spec_of(self, choice: Choice) -> ReplicaSpec:
        options = self._spec.options.model_copy(
            update={
                **choice.as_options(),
                "context_size": min(CONTEXT_TOKENS, self._spec.options.context_size),
                "parallel": 1,
            }
        )
        return replace(
            self._spec, options=options, memory_bytes=self._files.estimate(options).total_bytes, report=None
        )

    def _report(self, text: str) -> None:
        by_steps = len(self._trials) / (self._search.steps + 2)
        by_time = 1 - self._left_s() / MAX_TUNE_S
        percent = round(min(0.99, max(by_steps, by_time)) * 100, 1)
        measure = Measure(STAGE, percent=percent, eta_seconds=max(0, round(self._left_s())))
        self._operation.report(Progress(text, measure))

    def _left_s(self) -> float:
        return MAX_TUNE_S - (anyio.current_time() - self._began_s)

    def outcome(self, model: Model) -> Tuned:
        """The result; what was not confirmed is not better. Raises WorkerCrashed when nothing was measured."""
        search = self._search
        if search.start_speed is None:
            raise InvalidRequest(
                f"Model '{model.simple_name}' is too slow to be tuned",
                f"Not even one measurement ended within {MAX_TUNE_S:g} s. Choose a smaller model or quantization.",
            )
        seconds = anyio.current_time() - self._began_s
        if self._confirmed is not None and self._confirmed[1].is_better_than(self._confirmed[0]):
            return Tuned(
                model,
                search.start,
                self._confirmed[0],
                search.best,
                self._confirmed[1],
                tuple(self._trials),
                seconds,
            )
        return Tuned(
            model,
            search.start,
            search.start_speed,
            search.start,
            search.start_speed,
            tuple(self._trials),
            seconds,
        )


def _log_fault(error: Exception) -> None:
    log.error("Unexpected error while a model was tuned: %r", error, exc_info=error)
