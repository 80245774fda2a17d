"""The watch tells each worker what has changed for it, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import anyio

from foundrylocal.engine.cpu.cores import Cores
from foundrylocal.engine.cpu.load import CpuTimes
from foundrylocal.engine.local.crowd_watch import CrowdWatch, WatchedWorker
from tests.fakes import virtual_time

CORES = Cores(frozenset({0, 1}), 2)


@dataclass
class FakeWorker:
    engine_pid: int | None
    threads: int | None = None
    can_shorten_spin: bool = True
    told: list[bool] = field(default_factory=list)

    def shorten_spin(self, is_short: bool) -> None:
        self.told.append(is_short)


class Machine:
    """Counters that go on by one second at each look; `uses` says how many cores each process keeps busy."""

    def __init__(self, **uses: float) -> None:
        self.uses = {1: 0.0, **{int(name[1:]): cores for name, cores in uses.items()}}
        self.now = 0.0
        self.total = 0.0
        self.spent: dict[int, float] = {}

    def read(self, cpus: frozenset[int], pids: Iterable[int], now_s: float) -> CpuTimes:
        assert cpus == CORES.cpus
        self.now += 1
        for pid, cores in self.uses.items():
            self.total += cores
            self.spent[pid] = self.spent.get(pid, 0.0) + cores
        return CpuTimes(self.now, self.total, {pid: self.spent.get(pid, 0.0) for pid in pids})


def looks(machine: Machine, workers: list[FakeWorker], *steps: Any) -> None:
    """Look once for each step, which may change the machine before."""
    watch = CrowdWatch(list, lambda: CORES, machine.read, lambda: machine.now)

    async def main() -> None:
        for step in steps:
            machine.uses.update(step)
            there: dict[int, WatchedWorker] = {
                worker.engine_pid: worker for worker in workers if worker.engine_pid
            }
            await watch.look(there)

    virtual_time.run(main)


def test_a_worker_hears_of_a_neighbor_that_comes_and_goes() -> None:
    worker = FakeWorker(10)
    busy, calm = {99: 1.0}, {99: 0.0}
    looks(Machine(p10=1.8), [worker], {}, {}, {}, busy, busy, busy, calm, calm, calm)
    assert worker.told == [True, False]


def test_what_the_service_and_the_worker_use_themselves_is_no_neighbor() -> None:
    worker = FakeWorker(10)
    looks(Machine(p10=1.5, **{f"p{os.getpid()}": 0.4}), [worker], *[{}] * 6)
    assert worker.told == []


def test_two_workers_that_compute_are_neighbors() -> None:
    one, other = FakeWorker(10), FakeWorker(11)
    looks(Machine(p10=1.0, p11=0.0), [one, other], {}, {}, {11: 1.0}, {}, {})
    assert one.told == [True]
    assert other.told == [True]


def test_a_worker_with_one_thread_leaves_a_core() -> None:
    worker = FakeWorker(10, threads=1)
    looks(Machine(p10=1.0, p99=1.0), [worker], *[{}] * 6)
    assert worker.told == []


def test_a_worker_is_told_when_it_can_hear() -> None:
    worker = FakeWorker(10, can_shorten_spin=False)
    machine = Machine(p10=0.5, p99=1.0)
    watch = CrowdWatch(list, lambda: CORES, machine.read, lambda: machine.now)

    async def main() -> None:
        for _ in range(4):
            await watch.look({10: worker})
        assert worker.told == []
        worker.can_shorten_spin = True
        await watch.look({10: worker})

    virtual_time.run(main)
    assert worker.told == [True]


def test_a_process_id_that_is_used_again_is_a_new_worker() -> None:
    machine = Machine(p10=1.0, p99=1.0)
    watch = CrowdWatch(list, lambda: CORES, machine.read, lambda: machine.now)
    first, second = FakeWorker(10), FakeWorker(10)

    async def main() -> None:
        for _ in range(4):
            await watch.look({10: first})
        await watch.look({})
        for _ in range(4):
            await watch.look({10: second})

    virtual_time.run(main)
    assert (first.told, second.told) == ([True], [True])


def test_it_looks_while_there_are_workers_and_wakes_up_for_the_first_one() -> None:
    machine, workers = Machine(p10=0.0), list[FakeWorker]()
    watch = CrowdWatch(lambda: workers, lambda: CORES, machine.read, lambda: machine.now)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(watch.run)
            await anyio.sleep(60)
            assert virtual_time.wakeups() == 1  # this test
            for _ in range(2):
                workers.append(FakeWorker(10))
                watch.note_worker()
                before = machine.now
                await anyio.sleep(10)
                assert machine.now >= before + 18
                workers.clear()
                await anyio.sleep(1)
                seen = machine.now, virtual_time.wakeups()
                await anyio.sleep(60)
                assert (machine.now, virtual_time.wakeups()) == (seen[0], seen[1] + 1)
            group.cancel_scope.cancel()

    virtual_time.run(main)
