"""The switch between long and short spinning: in a process with the real engine, and where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foundrylocal.worker.__main__ import _obey
from foundrylocal.worker.spinning import SpinSwitch, find_switch

# Prints how many threads the process has: before, while spinning is short, and after.
PROGRAM = """
import os, time, xllamacpp
from foundrylocal.worker.spinning import find_switch

def threads():
    return len(os.listdir("/proc/self/task"))

def wait(is_met):
    while not is_met():
        time.sleep(0.001)

switch = find_switch({})
before = threads()
for _ in range(3):
    switch.set_short(True)
    switch.set_short(True)
    wait(lambda: threads() >= before + 1 + os.cpu_count())
    short = threads()
    switch.set_short(False)
    switch.set_short(False)
    wait(lambda: threads() == before)
print(short - before - len(os.sched_getaffinity(0)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the engine uses libgomp on Linux")
def test_idle_threads_come_with_short_spinning_and_leave_with_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.strip() == "1", (
        ran.stderr
    )  # as many as there are processors, and the one that owns them


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_an_environment_that_chooses_is_left_alone(name: str, tmp_path: Path) -> None:
    assert find_switch({name: "passive"}) is None


@pytest.mark.parametrize("maps", ["", "7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libc.so.6\n", None])
def test_an_engine_without_libgomp_has_no_switch(tmp_path: Path, maps: str | None) -> None:
    if maps is not None:
        (tmp_path / "maps").write_text(maps)
    assert find_switch({}, tmp_path / "maps") is None


class Recorder(SpinSwitch):
    def __init__(self) -> None:
        super().__init__(None, None)
        self.orders: list[bool] = []

    def set_short(self, is_short: bool) -> None:
        self.orders.append(is_short)


def test_a_worker_obeys_the_commands_that_it_knows() -> None:
    switch = Recorder()
    for line in (
        '{"command": "spin", "is_short": true}\n',
        '{"command": "spin"}',
        '{"command": "dance"}',
        "{",
        "\n",
    ):
        _obey(line, switch)
    _obey('{"command": "spin", "is_short": true}', None)
    assert switch.orders == [True, False]
