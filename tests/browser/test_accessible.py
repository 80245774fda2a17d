"""axe-core on every screen, light and dark, wide and small: no serious violation. Skipped without npm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.browser.screens import SCREENS
from tests.running import CHAT_MODEL, TEST_MODELS, Service

INSTALL_TIMEOUT_S = 300


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker's source, fetched once and kept between runs."""
    npm = shutil.which("npm")
    folder = TEST_MODELS / "axe"
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not source.exists():
        if npm is None:
            pytest.skip("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        asked = [npm, "install", "--no-audit", "--no-fund", "--silent", "axe-core"]
        done = subprocess.run(asked, cwd=folder, timeout=INSTALL_TIMEOUT_S, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"npm could not install axe-core: {done.stderr.strip()[:200]}")
    return source.read_text()


def violations(page: Page, axe: str) -> list[str]:
    page.eval(f"(() => {{ if (!window.axe) {{ {axe} }} }})()")
    found = page.eval("axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)")
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1300), ("dark", 1300), ("light", 360), ("dark", 360)]
)
def test_axe_finds_nothing_serious_on_any_screen(
    page: Page, service: Service, axe: str, scheme: str, width: int
) -> None:
    service.start()
    page.size(width)
    page.scheme(scheme)
    page.open(service.root)
    found = {}
    for screen, words in SCREENS.items():
        page.eval(f"location.hash = '#/{screen}'")
        page.shows(words, "body")
        found[screen] = violations(page, axe)
        over = page.eval("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, f"{screen} scrolls sideways by {over} px"
    page.open(f"{service.root}/docs")
    page.until("the endpoints", "document.querySelectorAll('article').length > 20")
    page.click("article summary")
    found["docs"] = violations(page, axe)
    assert page.eval("document.documentElement.scrollWidth - innerWidth") <= 0, "docs scrolls sideways"
    assert {screen: those for screen, those in found.items() if those} == {}


def test_axe_finds_nothing_serious_in_drawer_palette_and_dialog(board: Page, axe: str) -> None:
    board.click(".top button", "Downloads")
    assert violations(board, axe) == []
    board.press("Escape")
    board.press("k", ctrl=True)
    board.shows("Overview", ".palette")
    assert violations(board, axe) == []
    board.press("Escape")
    board.eval("document.activeElement.blur()")
    board.press("?")
    board.shows("Keyboard", "dialog")
    assert violations(board, axe) == []


def test_there_is_one_heading_of_the_page_and_focus_comes_back(board: Page) -> None:
    assert board.eval("document.querySelectorAll('h1').length") == 1
    board.eval("document.querySelector('.rail a[href=\"#/models\"]').focus()")
    board.press("Enter")
    board.shows("Models", "h1")
    board.until("the focus on the title", "document.activeElement.localName === 'h1'")
    board.click("button", f"More for {CHAT_MODEL}")
    board.until("the focus in the menu", "document.activeElement.closest('.menu-list')")
    board.press("Escape")
    assert board.eval("document.activeElement.getAttribute('aria-label')") == f"More for {CHAT_MODEL}"


@pytest.mark.parametrize("width", [320, 700, 1100])
def test_nothing_scrolls_sideways(page: Page, service: Service, width: int, tmp_path: Path) -> None:
    service.start()
    page.size(width)
    page.open(service.root)
    for screen, words in SCREENS.items():
        page.eval(f"location.hash = '#/{screen}'")
        page.shows(words, "body")
        over = page.eval("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, f"{screen} scrolls sideways by {over} px at {width} px"
