"""The page of models: sorted, filtered, explained, and what it says where nothing can be found or done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.fakes.hub import FakeHub
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

FIRST_ROW = "document.querySelector('[data-row] a').textContent"


@pytest.fixture
def catalogue(board: Page) -> Page:
    board.eval("location.hash = '#/models?tab=catalogue&fits=0'")
    board.until("the catalogue", "document.querySelectorAll('[data-row]').length > 5")
    return board


def choose(page: Page, label: str, value: str) -> None:
    page.eval(
        f"((one) => {{ one.value = '{value}'; one.dispatchEvent(new Event('change')); }})"
        f"(document.querySelector('select[aria-label=\"{label}\"]'))"
    )


@pytest.mark.parametrize(
    "column", ["name", "purpose", "size", "file", "memory", "context", "license", "state"]
)
def test_the_list_is_sorted_by_each_column_both_ways(catalogue: Page, column: str) -> None:
    choose(catalogue, "Sort by", column)
    catalogue.until("an address", f"location.hash.includes('sort={column}')")
    catalogue.click(".filters button", "Ascending")
    catalogue.until("the other way", "location.hash.includes('desc=1')")
    keys = (
        "import('/ui/dashboard/core/models.js').then(({sortModels}) =>"
        " import('/ui/dashboard/core/store.js').then(({store}) =>"
        f" sortModels(store.state.models, '{column}', %s).map((one) => one.simple_name)))"
    )
    up, down = catalogue.eval(keys % "false"), catalogue.eval(keys % "true")
    assert sorted(up) == sorted(down) and up != down


def test_unknown_values_are_last_in_both_directions(catalogue: Page) -> None:
    script = (
        "import('/ui/dashboard/core/models.js').then(({sortModels}) => [false, true].map((down) => sortModels("
        "[{simple_name: 'a', size: 'unknown'}, {simple_name: 'b', size: '7B'}, {simple_name: 'c', size: '135M'}]"
        ", 'size', down).map((one) => one.simple_name).join('')))"
    )
    assert catalogue.eval(script) == ["cba", "bca"]


def test_a_language_is_filtered_by_and_kept_in_the_address(catalogue: Page) -> None:
    before = catalogue.text(".filters [role=status]")
    choose(catalogue, "Language", "ja")
    catalogue.shows("Showing", ".filters")
    assert catalogue.text(".filters [role=status]") != before
    catalogue.eval("location.reload()")
    catalogue.until("the choice", "document.querySelector('select[aria-label=Language]')?.value === 'ja'")


def test_nothing_found_leads_on(board: Page) -> None:
    board.eval("location.hash = '#/models?find=smollx'")
    board.shows("No model matches", "main")
    board.shows("Similar names", "main")
    board.shows("Search Hugging Face for “smollx”", "main")
    board.click("main a", "Look in the catalogue")
    board.until(
        "the catalogue", "location.hash.includes('tab=catalogue') && location.hash.includes('smollx')"
    )


SMALL_MACHINE = """
import('/ui/dashboard/core/store.js').then(({store}) => {
  const {set} = store;
  const small = ({disk, memory, ...rest}) => ({...rest, disk: {...disk, free_bytes: 1024 ** 2},
    memory: {...memory, free_bytes: 1024, evictable_bytes: 0}});
  store.set = (fields) => set.call(store, fields.machine ? {...fields, machine: small(fields.machine)} : fields);
  store.set({machine: store.state.machine});
})
"""


def test_what_is_too_large_says_so_with_numbers_before_it_is_pressed(catalogue: Page) -> None:
    catalogue.eval(SMALL_MACHINE)
    catalogue.shows("of disk, 1.0 MB free", "fl-model-list")
    assert catalogue.eval(
        "[...document.querySelectorAll('[data-row]')].filter((row) => row.innerText.includes('of disk'))"
        ".every((row) => [...row.querySelectorAll('button')].find((one) => one.innerText === 'Download').disabled)"
    )
    catalogue.eval("location.hash = '#/models?tab=catalogue&find=Qwen2.5-0.5B'")
    catalogue.shows("too large for this machine", "main")


def test_a_hub_that_cannot_be_reached_leaves_the_rest_working(page: Page, home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    with FakeHub() as hub:
        environment = hub.environment
    with running(home, worker=FAKE_WORKER, **environment) as service:
        page.open(f"{service.root}/#/models?tab=hub&find=tiny")
        page.shows("The catalogue and your files still work", "main")
        page.click(".tabs a", "On this machine")
        page.shows("1 model", "main")


def test_a_model_is_loaded_at_the_next_start(board: Page, service: Service) -> None:
    board.eval(f"location.hash = '#/models/{CHAT_MODEL}?tab=settings'")
    board.click("fl-load-at-start button", "Load it at start")
    board.shows("This model is loaded when the service starts", "fl-load-at-start")
    assert service.post("/config", {}).json()["load_at_start"] == CHAT_MODEL
    board.eval(f"location.hash = '#/models/{BASE_MODEL}?view=settings'")
    board.shows(f"{CHAT_MODEL} is loaded", "fl-load-at-start")
    board.click("fl-load-at-start button", "Load this one instead")
    board.click("fl-load-at-start button", "Stop loading it at start")
    board.shows("No model is loaded when", "fl-load-at-start")
    assert service.post("/config", {}).json()["load_at_start"] is None


def test_the_result_of_a_verification_is_shown(board: Page) -> None:
    board.eval("location.hash = '#/models'")
    board.click("button", f"More for {CHAT_MODEL}")
    board.click(".menu-list button", "Verify files")
    board.shows(f"{CHAT_MODEL} is intact", "dialog")
    board.click("dialog button", "Close")
    board.until("no dialog", "!document.querySelector('dialog')")
