"""Random storms over the server in virtual time: every operation ends, and the status it leaves is settled."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundrylocal.errors import FoundryLocalError
from foundrylocal.server.state import IN_PROGRESS
from tests.unit.pool.rig import MB, MODELS
from tests.unit.server.rig import PORT, ServerRig, ServerRunner

_steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["start", "switch"]), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.sampled_from(["stop", "unload_all"]), st.just(0), st.just(0)),
        st.tuples(
            st.sampled_from(["load", "unload", "crash", "fail", "heal"]), st.integers(0, 2), st.just(0)
        ),
        st.tuples(st.just("request"), st.integers(0, 3), st.sampled_from([0, 5, 40])),
        st.tuples(st.just("wait"), st.just(0), st.sampled_from([0, 1, 10, 50, 300])),
    ),
    max_size=40,
)


class Storm:
    """Each step begins something and does not wait for its end."""

    def __init__(self, rig: ServerRig, group: anyio.abc.TaskGroup) -> None:
        self.rig, self.group = rig, group
        self.models = (rig.chat, rig.base, rig.third)
        self.under_way = 0
        self.faults: list[Exception] = []

    async def step(self, what: str, which: int, number: int) -> None:
        rig = self.rig
        name = MODELS[which] if which < len(MODELS) else None
        match what:
            case "start" | "switch":
                ask = rig.start if what == "start" else rig.switch
                self._spawn(ask, name, PORT + number)
            case "stop" | "unload_all":
                self._spawn(getattr(rig.server, what))
            case "load" | "unload":
                self._spawn(getattr(rig.models, what), self.models[which])
            case "request":
                self._spawn(self._request, name, number)
            case "crash":
                rig.launcher.crash(self.models[which].model_id)
            case "fail" | "heal":
                rig.launcher.behavior(self.models[which].model_id).fails_with = (
                    "no" if what == "fail" else None
                )
            case "wait":
                await anyio.sleep(number / 10)

    def _spawn(self, work: Any, *args: Any) -> None:
        self.under_way += 1
        self.group.start_soon(self._contain, work, *args)

    async def _contain(self, work: Any, *args: Any) -> None:
        try:
            if len(args) == 2 and work != self._request:
                await work(args[0], port=args[1])
            else:
                await work(*args)
        except FoundryLocalError:
            pass
        except Exception as error:  # noqa: BLE001 - the walk goes on, and fails at its end
            self.faults.append(error)
        finally:
            self.under_way -= 1

    async def _request(self, name: str | None, seconds: float) -> None:
        async with self.rig.server.lease(name):
            await anyio.sleep(seconds)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=_steps, total_mb=st.sampled_from([60, 100, 1000]))
def test_any_storm_ends_in_a_settled_state_and_the_next_start_works(
    models_home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    steps: list[tuple[str, int, int]],
    total_mb: int,
) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = total_mb * MB
        async with anyio.create_task_group() as group:
            storm = Storm(rig, group)
            for step in steps:
                await storm.step(*step)
                await anyio.sleep(0.001)
                rig.check()
            await anyio.sleep(300)
            assert storm.under_way == 0, "something never ends"
        assert storm.faults == []
        assert rig.server.state.status not in IN_PROGRESS
        await rig.server.stop()
        assert rig.is_clean()
        for model in storm.models:
            rig.launcher.behavior(model.model_id).fails_with = None
        await rig.start()
        assert rig.server.snapshot().health.is_healthy

    caplog.clear()
    with caplog.at_level(logging.ERROR):
        ServerRunner(models_home, tmp_path)(scenario, drain_seconds=3)
    assert not [line for line in caplog.messages if "Unexpected" in line]
