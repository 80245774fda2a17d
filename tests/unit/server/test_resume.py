"""A service that was killed and started again: which replicas of the one before it serve on, and which are ended."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from foundrylocal.engine.replica import Address, Adopted
from foundrylocal.server.desired import FILE_NAME
from tests.fakes.launcher import FakeLauncher
from tests.fakes.ports import FakePorts
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.pool.rig import MB
from tests.unit.server.rig import PORT, ServerRig, ServerRunner

SOON_S = 4.0


class Before:
    """The service that was killed: what it had written, and the replicas that outlive it."""

    def __init__(self, on_server: ServerRunner, state: Path, **settings: object) -> None:
        self.on_server, self.path, self.settings = on_server, state / FILE_NAME, settings
        self.desired = b""
        self.left: list[Adopted] = []
        on_server(self._scenario, nodes, **settings)
        self.path.write_bytes(self.desired)

    async def _scenario(self, rig: ServerRig) -> None:
        await rig.start(options={"context_size": 1024, "parallel": 2}, health_period_s=3.0)
        await rig.load(rig.base, 30)
        await anyio.sleep(SOON_S)
        self.desired = self.path.read_bytes()
        self.left = [
            Adopted(one.spec, one.node, Address(f"http://{one.node}:1", "key", 9))
            for one in rig.launcher.running.values()
        ]

    def prepare(self, launcher: FakeLauncher, ports: FakePorts) -> None:
        nodes(launcher, ports)
        launcher.adoptable = list(self.left)


def nodes(launcher: FakeLauncher, ports: FakePorts) -> None:
    launcher.nodes = {"a": 2000 * MB, "b": 2000 * MB}


@pytest.fixture
def before(on_server: ServerRunner, tmp_path: Path) -> Before:
    return Before(on_server, tmp_path, replicas={CHAT_MODEL: 2})


def test_it_serves_on_with_the_same_port_options_and_replicas(before: Before) -> None:
    async def scenario(rig: ServerRig) -> None:
        now = rig.server.snapshot()
        assert (now.status, now.port) == ("running", PORT)
        assert now.loaded is rig.chat
        assert now.options is not None
        assert now.options.wanted.request.parallel == 2
        assert {one.id for one in rig.pool.replicas()} == {one.spec.id for one in before.left}
        assert {one.node for one in rig.pool.replicas_of(rig.chat)} == {"a", "b"}
        async with rig.server.lease(None) as replica:
            assert replica.is_current
            assert replica.address.key == "key"
        await anyio.sleep(60)
        assert rig.launcher.history == []  # nothing was launched, nothing ended

    before.on_server(scenario, before.prepare, **before.settings)


def test_further_replicas_are_numbered_after_those_that_are_there(before: Before) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.lose("a")
        await anyio.sleep(SOON_S)
        ids = [one.id for one in rig.pool.replicas_of(rig.chat)]
        assert len(ids) == 2
        assert not {ids[1]} & {one.spec.id for one in before.left}

    before.on_server(scenario, before.prepare, **before.settings)


def test_a_replica_of_a_model_that_is_not_known_any_more_is_ended(before: Before) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert rig.ready() == {CHAT_MODEL, BASE_MODEL}
        assert rig.launcher.history == [f"kill {before.left[0].spec.id}"]

    first = before.left[0]
    assert first.spec.model_id.endswith(CHAT_MODEL)
    unknown = replace(first.spec, model_id="nobody/knows", id="nobody/knows#7")
    before.left[0] = replace(first, spec=unknown)
    before.on_server(scenario, before.prepare, replicas=1)


@pytest.mark.parametrize("kept", [None, b"", b"{", b'{"model_id": "nobody", "port": 1234}', b"x" * 70_000])
def test_without_a_wish_that_can_be_read_they_are_ended(before: Before, kept: bytes | None) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert rig.is_clean()
        assert not before.path.exists()

    before.path.unlink()
    if kept is not None:
        before.path.write_bytes(kept)
    before.on_server(scenario, before.prepare)


def test_a_port_that_something_else_holds_ends_them_and_says_so(before: Before) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert rig.is_clean()
        error = rig.server.snapshot().last_error
        assert error is not None
        assert error.code == "port_in_use"
        assert not before.path.exists()

    def taken(launcher: FakeLauncher, ports: FakePorts) -> None:
        before.prepare(launcher, ports)
        ports.taken.add(PORT)

    before.on_server(scenario, taken)


def test_a_service_whose_workers_ended_with_it_starts_stopped(before: Before) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert rig.is_clean()
        assert not before.path.exists()

    before.on_server(scenario, nodes)


def test_what_is_wanted_is_kept_from_a_start_to_its_stop(on_server: ServerRunner, tmp_path: Path) -> None:
    async def scenario(rig: ServerRig) -> None:
        path = tmp_path / FILE_NAME
        assert not path.exists()
        await rig.start(options={"parallel": 3})
        assert json.loads(path.read_bytes()) == {
            "model_id": rig.chat.model_id,
            "port": PORT,
            "health_period_s": 2.0,
            "options": {"parallel": 3},
        }
        await rig.switch(port=4321)
        kept = json.loads(path.read_bytes())
        assert (kept["model_id"], kept["port"], kept["options"]) == (rig.base.model_id, 4321, {})
        await rig.server.stop()
        assert not path.exists()

    on_server(scenario)
