"""Download lines: the published shape, a steady pace, never backwards, 100.0% last."""

from __future__ import annotations

import re

import anyio
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.downloads.meter import Meter
from foundrylocal.events import Measure, Progress

MB = 1024 * 1024
LINE = re.compile(r"Downloaded: \d+\.\d% \(\d+ MB / \d+ MB\) - \d+\.\d MB/s")


class Watch:
    """A clock that is set, and the lines that were told."""

    def __init__(self, total_bytes: int) -> None:
        self.now = 0.0
        self.lines: list[Progress] = []
        self.meter = Meter(self.lines.append, total_bytes, clock=lambda: self.now)

    def look(self) -> Measure:
        """Let the ticker run once."""

        async def once() -> None:
            with anyio.CancelScope() as scope:
                scope.deadline = anyio.current_time()
                await self.meter.tick()

        anyio.run(once)
        measure = self.lines[-1].measure
        assert measure is not None
        return measure


def test_a_line_is_written_as_published() -> None:
    watch = Watch(2048 * MB)
    watch.meter.begin(2048 * MB)
    watch.look()
    watch.now = 8.0
    watch.meter.advance(round(2048 * MB * 0.052))
    measure = watch.look()
    assert watch.lines[-1].message == "Downloaded: 5.2% (106 MB / 2048 MB) - 13.3 MB/s"
    assert measure.stage == "downloading"
    assert measure.eta_seconds == round((2048 - 2048 * 0.052) / (2048 * 0.052 / 8))


def test_all_bytes_are_not_yet_100_percent_until_they_are_checked() -> None:
    watch = Watch(10 * MB)
    watch.meter.begin(10 * MB)
    watch.meter.advance(10 * MB)
    assert watch.look().percent == 99.9
    watch.now = 1.0
    watch.meter.finish()
    assert watch.lines[-1].message == "Downloaded: 100.0% (10 MB / 10 MB) - 10.0 MB/s"


def test_a_quiet_download_is_told_within_two_seconds_and_news_at_once() -> None:
    watch = Watch(10 * MB)
    watch.meter.begin(10 * MB)
    watch.look()
    count = len(watch.lines)
    watch.now = 1.0
    watch.look()
    assert len(watch.lines) == count
    watch.now = 1.8
    watch.look()
    assert len(watch.lines) == count + 1


def test_a_part_that_was_discarded_does_not_turn_the_lines_back() -> None:
    watch = Watch(10 * MB)
    watch.meter.begin(10 * MB)
    watch.meter.advance(6 * MB)
    assert watch.look().percent == 60.0
    watch.now = 2.0
    watch.meter.advance(0)
    measure = watch.look()
    assert (measure.percent, measure.downloaded_bytes, measure.bytes_per_second) == (60.0, 6 * MB, 0.0)


def test_what_was_on_disk_already_is_shown_and_was_not_received() -> None:
    watch = Watch(100 * MB)
    watch.now = 50.0  # in the queue
    watch.meter.begin(100 * MB)
    watch.now = 60.0  # the part is hashed once more
    watch.meter.find(80 * MB)
    measure = watch.look()
    assert (measure.percent, measure.bytes_per_second, measure.eta_seconds) == (80.0, 0.0, None)
    watch.now = 62.0
    watch.meter.advance(90 * MB)
    measure = watch.look()
    assert (measure.percent, measure.bytes_per_second, measure.eta_seconds) == (90.0, 5.0 * MB, 2)
    watch.now = 64.0
    watch.meter.advance(100 * MB)
    watch.meter.finish()
    assert watch.lines[-1].message == "Downloaded: 100.0% (100 MB / 100 MB) - 5.0 MB/s"


def test_a_second_try_does_not_count_twice_what_the_first_received() -> None:
    watch = Watch(100 * MB)
    watch.meter.begin(100 * MB)
    watch.meter.advance(50 * MB)
    watch.now = 10.0
    watch.meter.begin(100 * MB)
    watch.meter.find(50 * MB)
    watch.meter.advance(100 * MB)
    watch.meter.finish()
    assert watch.lines[-1].message.endswith("- 10.0 MB/s")


def test_a_model_without_a_size_divides_by_nothing() -> None:
    watch = Watch(0)
    watch.look()
    watch.meter.finish()
    assert all(LINE.fullmatch(line.message) for line in watch.lines)


@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "find", "advance"]), st.integers(0, 2**40), st.floats(0, 100)),
        max_size=12,
    )
)
def test_whatever_a_source_tells_the_lines_only_rise(steps: list[tuple[str, int, float]]) -> None:
    watch = Watch(5 * MB)
    for what, number, seconds in steps:
        watch.now += seconds
        match what:
            case "begin":
                watch.meter.begin(None, number)
            case "find":
                watch.meter.find(number)
            case _:
                watch.meter.advance(number)
        watch.look()
    watch.meter.finish()
    measures = [line.measure for line in watch.lines if line.measure]
    percents = [measure.percent or 0.0 for measure in measures]
    sizes = [measure.downloaded_bytes or 0 for measure in measures]
    assert percents == sorted(percents)
    assert sizes == sorted(sizes)
    assert percents[-1] == 100.0
    assert all(LINE.fullmatch(line.message) for line in watch.lines)
