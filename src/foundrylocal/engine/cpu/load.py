"""How much of the processor other programs use, by the system's counters and those of our own processes.

Invariant: work of a process that ended between two looks counts as somebody else's, for that one look.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds of processor time at one moment: of all programs on some processors, and of single processes by id."""

    at_s: float
    all_s: float
    by_pid_s: Mapping[int, float]


def read_times(cpus: frozenset[int], pids: Iterable[int], now_s: float) -> CpuTimes:
    """The times now. Time that the host of a virtual machine took counts as used. Blocking, and quick."""
    busy = 0.0
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        if number in cpus:
            idle = times.idle + getattr(times, "iowait", 0.0)
            # Linux already counts guest time as user time.
            guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
            busy += sum(times) - idle - guest
    spent: dict[int, float] = {}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid).cpu_times()
            spent[pid] = process.user + process.system
    return CpuTimes(now_s, busy, spent)


def cores_of(pid: int, before: CpuTimes, after: CpuTimes) -> float:
    """Cores that one process kept busy between two moments."""
    passed_s = max(after.at_s - before.at_s, 1e-9)
    return max(0.0, after.by_pid_s.get(pid, 0.0) - before.by_pid_s.get(pid, 0.0)) / passed_s


def others_between(before: CpuTimes, after: CpuTimes, own: Iterable[int]) -> float:
    """Cores that everything but the processes `own` kept busy between two moments."""
    passed_s = max(after.at_s - before.at_s, 1e-9)
    own_cores = sum(cores_of(pid, before, after) for pid in own)
    return max(0.0, (after.all_s - before.all_s) / passed_s - own_cores)
