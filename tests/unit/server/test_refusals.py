"""A start or a switch that does not fit: refused before anything is done, by the numbers of the plan."""

from __future__ import annotations

import pytest

from foundrylocal.errors import InsufficientMemory
from foundrylocal.wire.load_options import LoadOptions
from tests.running import CHAT_MODEL
from tests.unit.server.rig import MB, PORT, ROOM_FOR_ONE, ServerRig, ServerRunner

NOT_ON_DISK = "Qwen2.5-3B-Instruct-Q4_K_M-GGUF"


@pytest.mark.parametrize("name", [CHAT_MODEL, NOT_ON_DISK])
def test_a_start_is_refused_before_the_port_and_the_download(on_server: ServerRunner, name: str) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = 10 * MB
        rig.ports.taken.add(PORT)  # to try to bind it would be another error
        plan = await rig.pool.plan(rig.registry.find(name), LoadOptions())
        with pytest.raises(InsufficientMemory) as refused:
            await rig.begin(name, may_download=True)
        assert refused.value.details == str(plan.refusal and plan.refusal.details)
        assert plan.memory.free_bytes == 10 * MB
        assert rig.launcher.history == []
        assert rig.is_clean()
        rig.launcher.total_bytes = 1000 * MB
        rig.ports.taken.clear()
        await rig.start()

    on_server(scenario)


def test_a_switch_is_refused_with_the_old_model_port_and_requests_untouched(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start()
        before = rig.running(), list(rig.ports.open_now), list(rig.launcher.history)
        with pytest.raises(InsufficientMemory) as refused:
            await rig.begin_switch(NOT_ON_DISK, may_download=True, port=4321)
        assert "still serving" in str(refused.value.details)
        assert (rig.running(), list(rig.ports.open_now), list(rig.launcher.history)) == before
        assert rig.status == "running"

    on_server(scenario)


def test_a_switch_to_the_loaded_model_with_its_own_options_needs_no_room(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        rig.launcher.total_bytes = 1
        await rig.switch(CHAT_MODEL)
        assert [line.split()[0] for line in rig.launcher.history] == ["launch"]
        rig.launcher.total_bytes = 1000 * MB

    on_server(scenario)
