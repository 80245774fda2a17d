"""The progress of a load: how far it has come, and how much longer it takes if that was measured before."""

from __future__ import annotations

import anyio

from foundrylocal.events import Measure, Progress
from foundrylocal.kit.operation import Operation
from foundrylocal.server.requests import ServerInfo
from tests.unit.server.rig import ServerRig, ServerRunner


def _measures(operation: Operation[ServerInfo]) -> list[Measure]:
    with operation.watch() as events:
        return [event.measure for event in events._items if isinstance(event, Progress) and event.measure]


def test_the_time_left_is_told_from_the_second_load_on(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.behavior(rig.chat.model_id).load_s = 60.0
        first = await rig.begin()
        await first.result()
        assert _measures(first) == [Measure("loading", 99.0)]
        await rig.server.stop()
        rig.launcher.behavior(rig.chat.model_id).load_s = 45.0
        second = await rig.begin()
        await second.result()
        assert _measures(second) == [Measure("loading", 99.0, eta_seconds=15)]

    on_server(scenario)


def test_others_see_how_far_a_load_has_come(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert rig.pool.load_status(rig.chat) is None
        operation = await rig.begin()
        await anyio.sleep(0.5)
        status = rig.pool.load_status(rig.chat)
        assert status is not None
        assert (status.progress, status.eta_s) == (0.0, None)
        await operation.result()
        assert rig.pool.load_status(rig.chat) is None

    on_server(scenario)
