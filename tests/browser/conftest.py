"""One browser for each module of tests, and a fresh service for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.page import Page, browser
from tests.running import Service


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(chromium: Page) -> Iterator[Page]:
    """The browser at its normal size; a fault of the page's scripts fails the test."""
    chromium.faults.clear()
    chromium.requests.clear()
    chromium.size(1300)
    chromium.scheme("light")
    yield chromium
    chromium.open("about:blank")
    assert chromium.faults == []


@pytest.fixture
def board(page: Page, service: Service) -> Page:
    """The dashboard of a service with two tiny models on disk, live."""
    page.open(service.root)
    page.until("the dashboard", "document.querySelector('fl-overview .card')")
    return page
