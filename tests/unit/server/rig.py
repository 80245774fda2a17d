"""The server on a launcher and ports in memory and a clock that jumps: everything between is real."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from foundrylocal.catalog.presets import PresetStore
from foundrylocal.events import Progress
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.measured_times import MeasuredTimes
from foundrylocal.pool.planner import Planner
from foundrylocal.pool.pool import Pool
from foundrylocal.server.desired import DesiredFile
from foundrylocal.server.models import ModelManager
from foundrylocal.server.requests import ServerInfo, StartRequest
from foundrylocal.server.server import Server
from foundrylocal.server.state import Status
from foundrylocal.wire.load_options import LoadOptions
from tests.fakes import virtual_time
from tests.fakes.launcher import FakeLauncher
from tests.fakes.ports import FakePorts
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.pool.rig import MB, Rig, engine_without_gpu, make_parts, no_prompt_cache

PORT = 1234
SETTLED = (Status.STOPPED, Status.RUNNING, Status.ERROR)


@dataclass
class ServerRig(Rig):
    """What a test of the server holds."""

    server: Server = None  # type: ignore[assignment]
    models: ModelManager = None  # type: ignore[assignment]
    ports: FakePorts = None  # type: ignore[assignment]

    async def start(self, name: str = CHAT_MODEL, **request: Any) -> ServerInfo:
        operation = await self.begin(name, **request)
        return await operation.result()

    async def begin(self, name: str = CHAT_MODEL, **request: Any) -> Operation[ServerInfo]:
        return await self.server.start(_request(name, request))

    async def switch(self, name: str = BASE_MODEL, **request: Any) -> ServerInfo:
        operation = await self.server.switch(_request(name, request))
        return await operation.result()

    async def begin_switch(self, name: str = BASE_MODEL, **request: Any) -> Operation[ServerInfo]:
        return await self.server.switch(_request(name, request))

    async def hold_request(self, name: str | None, until: anyio.Event, outcome: list[Any]) -> None:
        """One request at the gateway until the event; its model, or what it raised, goes into `outcome`."""
        try:
            async with self.server.lease(name) as replica:
                outcome.append(replica.model.simple_name)
                await until.wait()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            outcome.append(error)

    @property
    def status(self) -> str:
        return str(self.server.state.status)

    def is_clean(self) -> bool:
        """Stopped, with nothing left of what ran."""
        return self.status == "stopped" and not self.launcher.running and not self.ports.open_now

    def check(self) -> None:
        super().check()
        state = self.server.state
        if state.status is Status.RUNNING:
            assert len(self.ports.open_now) == 1
            assert self.server.snapshot().port == self.ports.open_now[0]
        if state.status in (Status.STOPPED, Status.STARTING):
            assert not self.pool.replicas() or state.status is Status.STARTING


def _request(name: str, request: dict[str, Any]) -> StartRequest:
    options = LoadOptions(**request.pop("options", {}))
    return StartRequest(name, options=options, **{"may_download": False, **request})


def lines(operation: Operation[ServerInfo]) -> list[str]:
    """The progress lines of an operation so far."""
    with operation.watch() as events:
        return [event.message for event in events._items if isinstance(event, Progress)]


Scenario = Callable[[ServerRig], Awaitable[None]]


@dataclass
class ServerRunner:
    """Runs one scenario against a server of its own."""

    models_home: Path
    state: Path

    def __call__(
        self,
        scenario: Scenario,
        prepare: Callable[[FakeLauncher, FakePorts], None] = lambda launcher, ports: None,
        **settings: Any,
    ) -> None:
        async def main() -> None:
            launcher, registry, store, supply = make_parts(
                self.models_home, self.state, port=PORT, **settings
            )
            times, presets = MeasuredTimes(self.state / "times.json"), PresetStore(self.state)
            ports = FakePorts()
            prepare(launcher, ports)
            planner = Planner(supply, launcher, store, engine_without_gpu, times, presets, registry.find)
            pool = Pool(launcher, planner, store, no_prompt_cache(self.state, store))
            server = Server(
                registry=registry,
                supply=supply,
                pool=pool,
                launcher=launcher,
                settings=store,
                port_opener=ports,
                desired=DesiredFile(self.state),
                api_key="fl-key",
            )
            rig = ServerRig(launcher, registry, store, supply, presets, pool, times)
            rig.server, rig.ports = server, ports
            rig.models = ModelManager(server, pool, supply, store, presets)
            async with anyio.create_task_group() as group:
                await group.start(pool.run)
                await group.start(server.run)
                await scenario(rig)
                rig.check()
                assert server.state.status in SETTLED
                await server.stop()
                assert rig.is_clean()
                group.cancel_scope.cancel()

        virtual_time.run(main)


ROOM_FOR_ONE = 60 * MB
ROOM_FOR_TWO = 100 * MB
