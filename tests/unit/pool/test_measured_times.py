"""What was measured on this machine, and what it says about the next load and download."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.pool.load_status import load_status
from foundrylocal.pool.measured_times import (
    FILE_BYTES_PER_S,
    MAX_LOADS,
    MAX_SAMPLES,
    SAVE_DELAY_S,
    START_S,
    TRANSFER_BYTES_PER_S,
    Duration,
    MeasuredTimes,
)
from foundrylocal.wire.load_options import EffectiveOptions
from tests.fakes import virtual_time

MB = 1024 * 1024


def spec(model: str = "a/m", file_mb: int = 100, memory_mb: int = 200, **options: Any) -> ReplicaSpec:
    return ReplicaSpec(
        f"{model}#1", model, Path("m.gguf"), None, file_mb * MB, memory_mb * MB, EffectiveOptions(**options)
    )


@pytest.fixture
def times(tmp_path: Path) -> MeasuredTimes:
    return MeasuredTimes(tmp_path / "times.json")


def test_nothing_measured_is_an_estimate_by_size(times: MeasuredTimes) -> None:
    small, large = times.load(spec(file_mb=100)), times.load(spec(file_mb=4000, memory_mb=5000))
    assert (small.basis, large.basis) == ("estimated", "estimated")
    assert START_S < small.seconds < large.seconds
    assert large.seconds > 4000 * MB / FILE_BYTES_PER_S
    assert times.download(10 * MB) == Duration(10 * MB / TRANSFER_BYTES_PER_S, "estimated")


def test_the_same_load_is_measured_and_takes_the_middle_of_the_last_ones(times: MeasuredTimes) -> None:
    for seconds in (90.0, 3.0, 2.0, 4.0, 2.5, 3.5):
        times.note_load(spec(), seconds)
    assert times.load(spec()) == Duration(3.0, "measured")


def test_the_same_model_with_other_options_is_an_estimate_by_its_own_loads(times: MeasuredTimes) -> None:
    times.note_load(spec("a/m", 100, 200), 20.0)
    times.note_load(spec("b/m", 100, 200), 1.0)
    other = times.load(spec("a/m", 100, 2200, context_size=32768))
    assert other.basis == "estimated"
    assert 20.0 < other.seconds < 22.0


def test_another_model_is_an_estimate_by_the_speed_of_all_loads(times: MeasuredTimes) -> None:
    for name in ("a/m", "b/m", "c/m"):
        times.note_load(spec(name, file_mb=1000, memory_mb=1000), START_S + 10.0)
    assert times.load(spec("d/m", file_mb=2000, memory_mb=2000)).seconds == pytest.approx(
        START_S + 20.0, 0.01
    )


def test_downloads_take_the_speed_of_the_last_ones(times: MeasuredTimes) -> None:
    times.note_transfer(100 * MB, 10.0)
    assert times.download(50 * MB) == Duration(5.0, "measured")
    times.note_transfer(100, 10.0)  # too little to say anything
    assert times.download(50 * MB) == Duration(5.0, "measured")


def test_what_is_kept_is_bounded_and_the_latest_stays(times: MeasuredTimes, tmp_path: Path) -> None:
    for number in range(MAX_LOADS + 5):
        times.note_load(spec(f"a/{number}"), 1.0)
    for _ in range(MAX_SAMPLES + 5):
        times.note_load(spec("a/204"), 1.0)
    assert times.load(spec("a/204")).basis == "measured"
    assert times.load(spec("a/4")).basis == "estimated"
    assert times.load(spec("a/5")).basis == "measured"


def running(path: Path, scenario: Callable[[MeasuredTimes], Awaitable[None]]) -> None:
    async def main() -> None:
        times = MeasuredTimes(path)
        async with anyio.create_task_group() as group:
            await group.start(times.run)
            await scenario(times)
            group.cancel_scope.cancel()

    virtual_time.run(main)


async def nothing(times: MeasuredTimes) -> None:
    pass


def test_measurements_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "times.json"

    async def note(times: MeasuredTimes) -> None:
        times.note_load(spec(), 7.0)
        times.note_transfer(20 * MB, 2.0)

    async def look(times: MeasuredTimes) -> None:
        assert times.load(spec()) == Duration(7.0, "measured")
        assert times.download(10 * MB) == Duration(1.0, "measured")

    running(path, note)
    assert path.stat().st_mode & 0o777 == 0o600
    running(path, look)


def test_changes_are_saved_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "times.json"

    async def note(times: MeasuredTimes) -> None:
        times.note_load(spec(), 7.0)
        await anyio.sleep(2 * SAVE_DELAY_S)
        assert b"a/m" in path.read_bytes()

    running(path, note)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        b'{"loads": 1}',
        b'{"loads": [{"model_id": "a/m"}]}',
        b'{"transfer_bytes_per_s": [-1, 0]}',
    ],
)
def test_a_file_that_cannot_be_read_costs_only_the_measurements(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "times.json"
    path.write_bytes(content)

    async def look(times: MeasuredTimes) -> None:
        assert times.load(spec()).basis == times.download(MB).basis == "estimated"
        times.note_load(spec(), 1.0)

    running(path, look)
    running(path, nothing)
    assert b"a/m" in path.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="folders are not files there")
def test_a_file_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    async def note(times: MeasuredTimes) -> None:
        times.note_load(spec(), 1.0)
        await anyio.sleep(2 * SAVE_DELAY_S)
        times.note_load(spec("b/m"), 1.0)
        assert times.load(spec("b/m")).basis == "measured"

    running(tmp_path / "missing" / "times.json", note)


@pytest.mark.parametrize(
    ("elapsed_s", "expected", "eta_s"),
    [
        (2.0, Duration(10.0, "measured"), 8.0),
        (10.0, Duration(10.0, "measured"), 0.0),
        (11.0, Duration(10.0, "measured"), None),
        (2.0, Duration(10.0, "estimated"), None),
    ],
)
def test_the_time_left_is_told_only_when_it_was_measured(
    elapsed_s: float, expected: Duration, eta_s: float | None
) -> None:
    assert load_status(0.5, elapsed_s, expected).eta_s == eta_s
