"""The pool on a launcher in memory and a clock that jumps: real settings, library and supply, no process."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model, Registry
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.engine.engine import EngineReport, EngineState
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.engine.slot_files import HttpSlotEngine
from foundrylocal.pool.measured_times import MeasuredTimes
from foundrylocal.pool.planner import Planner
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.prompt_cache.prompt_cache import PromptCache
from foundrylocal.pool.prompt_cache.store import PromptStore
from foundrylocal.pool.roster import Replica, State
from foundrylocal.pool.supply import Supply
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import EffectiveOptions
from tests.fakes import virtual_time
from tests.fakes.launcher import FakeLauncher
from tests.running import BASE_MODEL, CHAT_MODEL

THIRD_MODEL = "SmolLM2-360M-Instruct-Q8_0-GGUF"
MODELS = (CHAT_MODEL, BASE_MODEL, THIRD_MODEL)
MB = 1024 * 1024


@dataclass
class Rig:
    """What a test of the pool holds; `chat`, `base` and `third` are three models on disk."""

    launcher: FakeLauncher
    registry: Registry
    settings: SettingsStore
    supply: Supply
    presets: PresetStore
    pool: Pool
    times: MeasuredTimes
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.chat, self.base, self.third = (self.registry.find(name) for name in MODELS)

    def spec(self, model: Model, memory_mb: int = 40, **options: Any) -> ReplicaSpec:
        return ReplicaSpec(
            id=f"{model.model_id}#test{next(self._numbers)}",
            model_id=model.model_id,
            model_path=Path("model.gguf"),
            projector_path=None,
            file_bytes=memory_mb * MB // 2,
            memory_bytes=memory_mb * MB,
            options=EffectiveOptions(**{"context_size": 512, **options}),
        )

    async def load(self, model: Model, memory_mb: int = 40, **options: Any) -> Replica:
        """Load the model as a start does."""
        return await self.pool.load(model, self.spec(model, memory_mb, **options), 180)

    async def hold(self, model: Model, until: anyio.Event, outcome: list[Any]) -> None:
        """One request that goes on until the event; its replica, or what it raised, goes into `outcome`."""
        try:
            async with self.pool.lease(model) as replica:
                outcome.append(replica)
                await until.wait()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            outcome.append(error)

    def set(self, **changes: Any) -> None:
        self.settings.update(changes)

    def ready(self) -> set[str]:
        return {replica.model.simple_name for replica in self.pool.replicas()}

    def running(self) -> list[str]:
        """The models of the launcher's replicas, one for each of them."""
        return sorted(one.spec.model_id.rpartition("/")[2] for one in self.launcher.running.values())

    def check(self) -> None:
        """What holds at every moment."""
        counts: dict[str, int] = {}
        for replica in self.pool.replicas():
            counts[replica.model.model_id] = counts.get(replica.model.model_id, 0) + 1
        for model_id, count in counts.items():
            most = self.pool.replica_range(self.registry.find(model_id)).most
            assert count <= most, counts
        for replica in self.pool.in_memory():
            assert replica.in_flight >= 0
            assert replica.state in (State.READY, State.YIELDING, State.DRAINING)
        assert not self.launcher.was_overcommitted


def make_parts(
    models_home: Path, state: Path, **settings: Any
) -> tuple[FakeLauncher, Registry, SettingsStore, Supply]:
    launcher, registry = FakeLauncher(1000 * MB), Registry.load()
    store = SettingsStore(state, {"memory_reserve_mb": 0, **settings})
    library = Library(models_home / "cache")
    downloads = DownloadManager(registry, library, state_dir=state)
    return launcher, registry, store, Supply(library, downloads)


async def engine_without_gpu(name: str | None) -> EngineReport:
    """The engine of a machine without a GPU."""
    return EngineReport(EngineState.READY)


def no_prompt_cache(state: Path, settings: SettingsStore) -> PromptCache:
    """A prompt cache that stays empty: the fake launcher's replicas cannot save."""
    return PromptCache(PromptStore(state / "prompt-cache", 0), HttpSlotEngine(), settings)


@asynccontextmanager
async def running_pool(models_home: Path, state: Path, **settings: Any) -> AsyncIterator[Rig]:
    launcher, registry, store, supply = make_parts(models_home, state, **settings)
    times, presets = MeasuredTimes(state / "times.json"), PresetStore(state)
    planner = Planner(supply, launcher, store, engine_without_gpu, times, presets, registry.find)
    pool = Pool(launcher, planner, store, no_prompt_cache(state, store))
    rig = Rig(launcher, registry, store, supply, presets, pool, times)
    async with anyio.create_task_group() as group:
        await group.start(pool.run)
        yield rig
        rig.check()
        group.cancel_scope.cancel()


Scenario = Callable[[Rig], Awaitable[None]]


@dataclass
class PoolRunner:
    """Runs one scenario against a pool of its own."""

    models_home: Path
    state: Path

    def __call__(self, scenario: Scenario, **settings: Any) -> None:
        async def main() -> None:
            async with running_pool(self.models_home, self.state, **settings) as rig:
                await scenario(rig)

        virtual_time.run(main)
