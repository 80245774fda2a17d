"""What an actor does on its node, without Ray: a real worker process by TCP, its news, and the end of its lease."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import psutil

from foundrylocal.catalog.library import Library
from foundrylocal.engine.client import probe
from foundrylocal.engine.ray.lease import Lease
from foundrylocal.engine.ray.node_replica import NodeReplica
from foundrylocal.engine.ray.orders import FileSet, NodeOrder, Phase, Update
from foundrylocal.engine.replica import Cause, ModelFile, ReplicaSpec
from foundrylocal.wire.load_options import EffectiveOptions
from tests.fakes.gguf_corpus import write_gguf
from tests.running import FAKE_WORKER

ADDRESS = "127.0.1.9"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def order(folder: Path, flags: str = "") -> NodeOrder:
    model = write_gguf(folder / "model.gguf")
    model.with_name("model.gguf.flags").write_text(flags)
    spec = ReplicaSpec("a/b#1", "a/b", model, None, 1024, 2048, EffectiveOptions())
    return NodeOrder("0", ADDRESS, spec, keep_s=0.6, worker_command=tuple(FAKE_WORKER))


def run(
    tmp_path: Path,
    given: NodeOrder,
    scenario: Callable[[NodeReplica], Awaitable[None]],
    clock: Callable[[], float] | None = None,
) -> None:
    async def main() -> None:
        replica = NodeReplica(given, Library(tmp_path / "node"), Lease(given.keep_s, clock or Clock()))
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(replica.run)
                await scenario(replica)
                await replica.stop()

    anyio.run(main)


async def until(replica: NodeReplica, *phases: Phase) -> Update:
    """Watch as the link does, until one of these phases."""
    update = await replica.watch(-1, 1.0, None)
    while update.phase not in phases:
        update = await replica.watch(update.number, 1.0, None)
    return update


def test_the_worker_listens_on_the_nodes_address_with_a_key_of_its_own(tmp_path: Path) -> None:
    async def scenario(replica: NodeReplica) -> None:
        update = await until(replica, Phase.READY, Phase.FAILED)
        assert update.address is not None, update
        assert update.address.url.startswith(f"http://{ADDRESS}:")
        assert len(update.address.key) > 40
        await probe(update.address, 5)
        assert update.pid is not None
        arguments = psutil.Process(update.pid).cmdline()
        assert not any(update.address.key in argument for argument in arguments)

    run(tmp_path, order(tmp_path), scenario)


def test_a_stop_ends_the_worker(tmp_path: Path) -> None:
    async def scenario(replica: NodeReplica) -> None:
        update = await until(replica, Phase.READY)
        await replica.stop()
        assert update.pid is not None and not psutil.pid_exists(update.pid)
        assert (await until(replica, Phase.STOPPED)).address is None

    run(tmp_path, order(tmp_path), scenario)


def test_a_lease_that_nobody_renews_ends_the_worker(tmp_path: Path) -> None:
    async def main() -> None:
        clock, given = Clock(), order(tmp_path)
        replica = NodeReplica(given, Library(tmp_path / "node"), Lease(given.keep_s, clock))
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(replica.run)
                update = await until(replica, Phase.READY)
                clock.now += 0.61
        assert replica.latest.phase is Phase.STOPPED
        assert update.pid is not None and not psutil.pid_exists(update.pid)

    anyio.run(main)


def test_a_watch_renews_the_lease(tmp_path: Path) -> None:
    clock = Clock()

    async def scenario(replica: NodeReplica) -> None:
        await until(replica, Phase.READY)
        for _ in range(5):
            clock.now += 0.5
            update = await replica.watch(-1, 0.0, None)
            await anyio.sleep(0.1)
        assert update.phase is Phase.READY

    run(tmp_path, order(tmp_path), scenario, clock)


def test_a_crash_is_told_at_once_with_the_workers_own_reason(tmp_path: Path) -> None:
    async def scenario(replica: NodeReplica) -> None:
        update = await until(replica, Phase.READY)
        assert update.pid is not None
        psutil.Process(update.pid).kill()
        update = await until(replica, Phase.FAILED)
        assert (update.cause, update.failure) == (Cause.WORKER.value, None)
        assert "SIGKILL" in str(update.reason)

    run(tmp_path, order(tmp_path), scenario)


def test_a_load_that_fails_says_why(tmp_path: Path) -> None:
    async def scenario(replica: NodeReplica) -> None:
        update = await until(replica, Phase.FAILED)
        assert update.cause == Cause.WORKER.value
        assert update.failure is not None and "no such tensor" in str(update.failure["details"])

    run(tmp_path, order(tmp_path, "--fail-with 'no such tensor' --exit-code 1"), scenario)


def test_files_that_cannot_be_fetched_are_no_crash(tmp_path: Path) -> None:
    given = order(tmp_path)
    file = ModelFile("model.gguf", given.spec.model_path, 10, "0" * 64)
    given = replace(given, file_sets=(FileSet("a/b", (file,)),))

    async def scenario(replica: NodeReplica) -> None:
        update = await until(replica, Phase.FAILED)
        assert update.cause == Cause.FILES.value
        assert update.failure is not None and update.failure["kind"] == "DownloadFailed"

    run(tmp_path, given, scenario)
