"""The layout of every screen: nothing overlaps, nothing is cut off, targets are large enough.

Pictures are compared by people (`make pictures`); pixels and fonts differ between machines, these rules do not.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.browser.screens import SCREENS
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

# Small windows are touched: 44 px. With a pointer, 24 px (WCAG 2.5.8).
MIN_TARGETS_PX = {320: 44, 360: 44, 900: 24, 1300: 24}
_FIND_FAULTS = (Path(__file__).parent / "layout.js").read_text()


@pytest.mark.parametrize("width", MIN_TARGETS_PX)
def test_nothing_overlaps_and_targets_are_large_enough(page: Page, service: Service, width: int) -> None:
    service.start()
    page.size(width)
    page.open(service.root)
    found = {}
    for screen, words in SCREENS.items():
        page.eval(f"location.hash = '#/{screen}'")
        page.shows(words, "body")
        if faults := page.eval(f"{_FIND_FAULTS}({MIN_TARGETS_PX[width]})"):
            found[screen] = faults
    assert not found, json.dumps(found, indent=1)


@pytest.mark.parametrize("width", MIN_TARGETS_PX)
def test_a_failed_load_fits_where_it_is_shown(page: Page, home: Path, width: int) -> None:
    words = "unknown model architecture: a-novel-architecture-with-a-long-name"
    store_tiny_model(home, CHAT_MODEL, worker_flags=f"--fail-with '{words}'")
    store_tiny_model(home, BASE_MODEL)
    page.size(width)
    with running(home, worker=FAKE_WORKER) as service:
        page.open(f"{service.root}/#/models")
        page.click("button", f"Load {CHAT_MODEL}")
        page.shows("novel", "fl-models")
        found = {"models": page.eval(f"{_FIND_FAULTS}({MIN_TARGETS_PX[width]})")}
        page.eval("location.hash = '#/overview'")
        page.shows("Try again", "fl-loaded-models")
        found["overview"] = page.eval(f"{_FIND_FAULTS}({MIN_TARGETS_PX[width]})")
    assert found == {"models": [], "overview": []}
