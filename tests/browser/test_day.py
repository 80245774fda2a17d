"""Twenty-four hours in seconds: what the page holds after a day of events is what it held after four hours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.running import Service

pytestmark = pytest.mark.timeout(400)
STREAMS = (Path(__file__).parent / "day.js").read_text()
WARM_HOURS, HOURS = 4, 24
MAX_GROWTH_BYTES = 3_000_000
MAX_GROWTH_NODES = 1500
DAY_TIMEOUT_S = 120.0


@pytest.fixture
def a_day(page: Page, service: Service) -> Iterator[Page]:
    """The dashboard, fed by a day that goes on as far as the test says."""
    service.start()
    script = page.call("Page.addScriptToEvaluateOnNewDocument", source=STREAMS)["identifier"]
    page.open(service.root)
    page.until("the dashboard", "document.querySelector('fl-overview .card dl')")
    yield page
    page.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def held(page: Page) -> tuple[int, int]:
    """Bytes of the heap and nodes, after what can be collected was collected."""
    page.eval("new Promise((resolve) => setTimeout(resolve, 500))")
    for _ in range(3):
        page.call("HeapProfiler.collectGarbage")
    return (
        int(page.call("Runtime.getHeapUsage")["usedSize"]),
        int(page.call("Memory.getDOMCounters")["nodes"]),
    )


def live_until(page: Page, hours: int, stream: str) -> None:
    page.eval(f"day.hours = {hours}")
    page.until(f"{hours} hours of {stream}", f"day.isOver('{stream}')", DAY_TIMEOUT_S)


@pytest.mark.parametrize(
    ("screen", "stream"),
    [("overview", "events"), ("requests", "events"), ("models", "events"), ("logs", "log")],
)
def test_a_day_of_events_leaves_no_more_than_four_hours(a_day: Page, screen: str, stream: str) -> None:
    a_day.eval(f"location.hash = '#/{screen}'")
    a_day.until("the screen", "document.querySelector('main > .screen > *')")
    live_until(a_day, WARM_HOURS, stream)
    bytes_then, nodes_then = held(a_day)
    live_until(a_day, HOURS, stream)
    bytes_now, nodes_now = held(a_day)
    assert bytes_now - bytes_then < MAX_GROWTH_BYTES, f"{bytes_then} grew to {bytes_now} bytes"
    assert nodes_now - nodes_then < MAX_GROWTH_NODES, f"{nodes_then} grew to {nodes_now} nodes"


def test_the_lists_are_capped_after_a_day(a_day: Page) -> None:
    live_until(a_day, HOURS, "events")
    sizes = a_day.eval(
        "import('/ui/dashboard/core/store.js').then(({store}) => ({requests: store.state.requests.size,"
        " ended: store.state.ended.length, jobs: Object.keys(store.state.jobs).length,"
        " spoken: document.querySelector('fl-downloads').spoken.size}))"
    )
    assert sizes["requests"] == 1000
    assert sizes["ended"] == 20 and sizes["spoken"] <= 40 and sizes["jobs"] == 0
    a_day.eval("location.hash = '#/requests'")
    a_day.shows("of 1000 requests", "main")
    assert a_day.eval("document.querySelectorAll('[data-row]').length") <= 200
