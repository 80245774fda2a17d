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


def test_what_was_changed_can_be_saved_in_a_small_window(page: Page, service: Service) -> None:
    page.size(360, 800)
    page.open(f"{service.root}/#/settings?find=queue_size")
    page.until("the setting", "document.querySelector('#in-queue_size')")
    page.eval("document.querySelector('#in-queue_size').select()")
    page.type("12")
    page.until("the bar", "document.querySelector('.save-bar')")
    box = "document.querySelector('%s').getBoundingClientRect()"
    assert page.eval(f"{box % '.save-bar'}.bottom <= {box % '.rail'}.top + 1")


def test_the_menu_of_a_row_fits_into_a_small_window(page: Page, service: Service) -> None:
    page.size(320, 700)
    page.open(f"{service.root}/#/models")
    page.click("button", f"More for {CHAT_MODEL}")
    page.until("the menu", "document.querySelector('.menu-list')")
    found = page.eval(
        "(({left, right, top, bottom}) => [left >= 0, right <= innerWidth, top >= 0, bottom <= innerHeight])"
        "(document.querySelector('.menu-list').getBoundingClientRect())"
    )
    assert found == [True] * 4
    page.click(".menu-list button", "Details")
    page.until("the details", "document.querySelector('.panel')")


def test_the_chosen_tab_is_in_view_in_a_small_window(page: Page, service: Service) -> None:
    page.size(320, 700)
    page.open(f"{service.root}/#/models?tab=other")
    page.shows("Import a file", "main")
    right = page.eval("document.querySelector('.tabs [aria-current]').getBoundingClientRect().right")
    assert right <= page.eval("innerWidth")
