"""How many processor cores this process may use: its affinity, and the quota of its control groups.

Invariant: a limit that cannot be read is no limit; the result is at least one core.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

_MIN_CORES = 1.0


@dataclass(frozen=True, slots=True)
class Cores:
    """`cpus` are the logical processors that may be used, `quota` how many of them at the same time, if limited.

    `physical` is the number of cores behind `cpus`; two logical processors of one core count once.
    """

    cpus: frozenset[int]
    physical: int
    quota: float | None = None

    @property
    def usable(self) -> float:
        """Cores that can compute at the same time."""
        return max(_MIN_CORES, min(self.physical, self.quota or self.physical))

    @property
    def is_limited(self) -> bool:
        """Whether there are fewer than an engine that counts the machine's cores would find."""
        return self.usable < (psutil.cpu_count(logical=False) or self.physical)


def read_cores(
    *,
    membership: Path = Path("/proc/self/cgroup"),
    groups: Path = Path("/sys/fs/cgroup"),
    topology: Path = Path("/sys/devices/system/cpu"),
) -> Cores:
    """The cores of this process now; blocking, and quick."""
    cpus = _affinity()
    return Cores(cpus, _physical(cpus, topology), min(_quotas(membership, groups), default=None))


def _affinity() -> frozenset[int]:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def _physical(cpus: frozenset[int], topology: Path) -> int:
    siblings = {_siblings(cpu, topology) for cpu in cpus}
    if None not in siblings:
        return max(1, len(siblings))
    if len(cpus) == (os.cpu_count() or 1):
        return psutil.cpu_count(logical=False) or len(cpus)
    return max(1, len(cpus))


def _siblings(cpu: int, topology: Path) -> str | None:
    """The logical processors of the same core, as Linux writes them."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return (topology / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    return None


def _quotas(membership: Path, groups: Path) -> Iterator[float]:
    """The limits of this process's control group and of each one around it, of both versions, in cores."""
    with contextlib.suppress(OSError, ValueError):
        for line in membership.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                yield from _along(groups, path, _quota_of_version_2)
            elif "cpu" in controllers.split(","):
                yield from _along(groups / "cpu", path, _quota_of_version_1)


def _along(root: Path, path: str, read: Callable[[Path], float | None]) -> Iterator[float]:
    group = root / path.removeprefix("/")
    while group == root or root in group.parents:
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota = read(group)
            if quota is not None:
                yield quota
        group = group.parent


def _quota_of_version_2(group: Path) -> float | None:
    limit, period = (group / "cpu.max").read_text().split()
    return None if limit == "max" else int(limit) / int(period)


def _quota_of_version_1(group: Path) -> float | None:
    limit = int((group / "cpu.cfs_quota_us").read_text())
    return None if limit <= 0 else limit / int((group / "cpu.cfs_period_us").read_text())
