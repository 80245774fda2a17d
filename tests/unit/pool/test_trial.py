"""A trial: a replica beside everything that is loaded, which leaves no trace."""

from __future__ import annotations

import pytest

from foundrylocal.errors import InsufficientMemory, ServerStartFailed
from tests.unit.pool.rig import MB, PoolRunner, Rig


def test_a_trial_takes_no_requests_and_leaves_nothing(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        loaded = await rig.load(rig.chat)
        async with rig.pool.trial(rig.spec(rig.chat), 60) as address:
            assert address.incarnation > loaded.address.incarnation
            assert rig.pool.get(rig.chat) is loaded
            assert len(rig.launcher.running) == 2
        assert len(rig.launcher.running) == 1

    on_pool(scenario)


def test_nobody_leaves_for_a_trial(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        rig.launcher.total_bytes = 60 * MB + rig.settings.current.memory_reserve_mb * MB
        with pytest.raises(InsufficientMemory):
            async with rig.pool.trial(rig.spec(rig.base), 60):
                pass
        assert rig.pool.get(rig.chat) is not None

    on_pool(scenario)


def test_a_trial_that_does_not_load_leaves_no_worker(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.behavior(rig.chat.model_id).fails_with = "out of memory"
        with pytest.raises(ServerStartFailed, match="start"):
            async with rig.pool.trial(rig.spec(rig.chat), 60):
                pass
        assert rig.launcher.running == {}

    on_pool(scenario)
