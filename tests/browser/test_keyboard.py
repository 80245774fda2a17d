"""Every action of every screen by keyboard alone: Tab, Enter, Space, arrows, Escape and the listed shortcuts."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.browser.keyboard import Keyboard
from tests.browser.page import Page
from tests.browser.slow_answer import slow_answer
from tests.browser.test_chat_page import PNG, VISION_MODEL
from tests.fakes.gguf_corpus import gguf, tiny_keys, write_gguf
from tests.fakes.hub import FakeHub
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

pytestmark = pytest.mark.timeout(240)
COPY_TO_WINDOW = (
    "navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }"
)


@pytest.fixture
def keys(page: Page) -> Keyboard:
    return Keyboard(page)


def row(model: str) -> str:
    return f"tr:has([href*='{model}'])"


def test_every_page_is_reached_by_keys_alone(board: Page) -> None:
    for key, title in (
        ("m", "Models"),
        ("c", "Chat"),
        ("r", "Requests"),
        ("l", "Logs"),
        ("s", "Settings"),
        ("o", "Overview"),
    ):
        board.eval("document.activeElement.blur()")
        board.press("g")
        board.press(key)
        board.shows(title, "h1")
    board.eval("location.hash = '#/models'")
    board.until("rows", "document.querySelectorAll('[data-row]').length === 2")
    board.press("j")
    board.press("Enter")
    board.until("the details", "document.querySelector('.panel')")
    board.press("Escape")
    board.until(
        "the list", "!document.querySelector('.panel') && document.activeElement.closest('[data-row]')"
    )
    board.press("/")
    assert board.eval("document.activeElement.matches('[data-filter]')")


def test_models_are_loaded_switched_unloaded_and_deleted(
    board: Page, keys: Keyboard, service: Service
) -> None:
    keys.press("g", "m")
    board.until("the list", "document.querySelectorAll('[data-row]').length === 2")
    keys.push("button", f"Load {CHAT_MODEL}")
    board.shows("Loaded", row(CHAT_MODEL))
    keys.has_place()
    keys.choose("Make it the current model", f"More for {BASE_MODEL}")
    keys.has_focus("button", f"More for {BASE_MODEL}")
    eventually("the switch", lambda: service.status()["current_model"] == BASE_MODEL)
    board.shows("On this machine", row(CHAT_MODEL))
    keys.choose("Delete", f"More for {CHAT_MODEL}")
    keys.press("Escape")
    board.until("no dialog", "!document.querySelector('dialog')")
    keys.has_focus("button", f"More for {CHAT_MODEL}")
    keys.to("[data-filter]", back=True)
    keys.choose("Delete", f"More for {CHAT_MODEL}")
    keys.confirm("Delete")
    board.until("one row", "document.querySelectorAll('[data-row]').length === 1")
    keys.has_place()
    keys.push("button", f"Unload {BASE_MODEL}", back=True)
    board.shows("On this machine", row(BASE_MODEL))
    keys.has_place()


def test_the_list_of_models_is_sorted_filtered_and_opened(board: Page, keys: Keyboard) -> None:
    keys.press("g", "m")
    board.until("the list", "document.querySelectorAll('[data-row]').length === 2")
    keys.press("/")
    board.type("smol")
    board.shows("Showing 1 of 2", "main")
    keys.push(".chip", "Embedding", key=" ")
    board.shows("No model matches", "main")
    keys.has_focus(".chip", "Embedding")
    keys.press(" ")
    keys.push("thead button", "Size", key=" ")
    board.until("the order", "document.querySelector('[aria-sort=ascending]')")
    keys.push("[data-row] a", "SmolLM2")
    board.until("the details", "document.querySelector('.panel') === document.activeElement")
    keys.push(".panel .tabs a", "Memory")
    board.until("the slider", "document.querySelector('#slider-context_size')")
    keys.to("#slider-context_size")
    before = board.eval("document.activeElement.getAttribute('aria-valuetext')")
    keys.press("ArrowLeft")
    board.until("another context", f"document.activeElement.getAttribute('aria-valuetext') !== '{before}'")
    keys.press("Escape")
    keys.has_focus("[data-row] a", "SmolLM2")


def test_a_download_is_paused_resumed_cancelled_and_loaded(page: Page, keys: Keyboard, home: Path) -> None:
    with FakeHub() as hub, running(home, worker=FAKE_WORKER, **hub.environment) as service:
        hub.add("me/tiny", "tiny-Q8_0.gguf", gguf() + bytes(2_000_000))
        hub.storage_faults.append("stall:1000000")
        page.open(f"{service.root}/#/models?tab=hub")
        page.shows("Any GGUF model", "main")
        keys.press("/")
        page.type("tiny")
        keys.press("Enter")
        page.shows("me/tiny", "main")
        keys.push("button", "Download me/tiny Q8_0")
        hub.wait_for_sent(1_000_000)
        keys.push(".top button", "Downloads", back=True)
        keys.has_focus(".drawer button", "Close the downloads")
        keys.push(".drawer button", "Pause")
        page.shows("Paused", ".drawer")
        hub.storage_faults.append("stall:1500000")
        keys.has_focus(".drawer button", "Resume")
        keys.press("Enter")
        page.shows("Downloading", ".drawer")
        hub.wait_for_sent(1_200_000)
        keys.push(".drawer button", "Cancel")
        page.shows("Cancelled", ".drawer")
        keys.has_place()
        keys.push(".drawer button", "Download tiny-Q8_0-GGUF again")
        page.shows("Done", ".drawer")
        keys.push(".drawer button", "Clear the list")
        page.shows("No downloads", ".drawer")
        keys.press("Escape")
        keys.has_focus(".top button", "Downloads")


def test_a_chat_is_sent_stopped_retried_and_cleared(page: Page, keys: Keyboard, home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL, worker_flags="--rate 20 --tokens 400")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        page.open(service.root)
        page.until("the dashboard", "document.querySelector('fl-overview .card')")
        keys.press("g", "c")
        keys.has_focus("fl-composer textarea")
        page.until("a model", f"document.querySelector('#chat-model')?.value === '{CHAT_MODEL}'")
        for number in range(2):  # stopped by Escape, then by the button
            page.type("Tell me a long story")
            keys.press("Enter")
            page.until(
                "words", "[...document.querySelectorAll('.thread fl-markdown')].at(-1)?.innerText.length > 5"
            )
            if number:
                keys.push("button", "Stop the answer")
            else:
                keys.press("Escape")
            page.until(
                "the end",
                "[...document.querySelectorAll('.thread article')].at(-1).innerText.includes('stopped')",
            )
            page.eval("document.querySelector('fl-composer textarea').focus()")
        keys.push("button", "Ask again for this answer", back=True)
        page.until("words", "document.querySelector('[aria-busy=true]')")
        keys.has_place()
        keys.push("button", "Stop the answer")
        page.until("the end", "!document.querySelector('[aria-busy=true]')")
        keys.push("button", "Edit message 3", back=True)
        keys.has_focus("fl-composer textarea")
        assert page.eval("document.activeElement.value") == "Tell me a long story"
        keys.replace("#chat-system", "Be brief.")
        keys.push("summary", "Parameters")
        keys.replace("#p-temperature", "0.5")
        keys.push("button", "Clear the conversation")
        page.shows(f"Ask {CHAT_MODEL} something", ".thread")
        keys.has_place()


def test_an_image_is_added_by_the_file_dialog(page: Page, keys: Keyboard, home: Path, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    picture.write_bytes(base64.b64decode(PNG))
    store_tiny_model(home, VISION_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        service.start(VISION_MODEL)
        page.open(f"{service.root}/#/chat")
        page.shows("Add image", "fl-composer")
        page.expect_file_dialog()
        keys.push("fl-composer input[type=file]", key=" ")
        page.choose_files(picture)
        page.until("the image", "document.querySelector('fl-composer img')?.naturalWidth === 1")
        keys.push("button", "Remove image 1", back=True)
        page.until("no image", "!document.querySelector('fl-composer img')")
        keys.has_place()


def test_a_file_is_imported(board: Page, keys: Keyboard, service: Service, tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    write_gguf(file, tiny_keys())
    board.eval("location.hash = '#/models?tab=other'")
    board.shows("Import a file", "main")
    keys.replace("#import-path", str(file))
    keys.replace("#import-name", "my-own-model")
    keys.to("#import-mode")
    keys.press("ArrowDown")
    keys.push("button", "Import")
    board.shows("Added as", "main")
    keys.has_place()
    assert file.exists()
    names = [one["simple_name"] for one in service.get("/models/downloaded").json()["models"]]
    assert any("my-own-model" in name for name in names)


def test_the_gateway_is_opened_to_the_network_and_closed_again(
    board: Page, keys: Keyboard, service: Service
) -> None:
    service.start()
    keys.press("g", "n")
    board.until("the steps", "document.querySelector('#net-address')")
    keys.replace("#net-address", "127.0.0.1")
    keys.push("fl-network-steps button", "Open to my network")
    key = board.until("the key", "document.querySelector('fl-network-steps .new-key code')?.textContent")
    keys.has_place()
    board.shows("Use the address below", "fl-network-steps")
    headers = {"Authorization": f"Bearer {key}"}
    config = service.http.post("/config", json={}, headers=headers).json()
    assert (config["gateway_host"], config["allowed_hosts"]) == ("0.0.0.0", ["127.0.0.1"])
    assert service.post("/config", {}).status_code == 401
    port = service.http.get("/status", headers=headers).json()["port"]
    board.shows(f"Reachable as http://127.0.0.1:{port}/v1", "fl-network-steps")
    keys.push("fl-network-steps button", "Copy the management key")
    keys.push("fl-network-steps button", "Test")
    board.shows("/health answers", "fl-network-steps")
    keys.push("fl-network-steps button", "Back to this machine only")
    board.shows("Only this machine can reach the gateway", "fl-network-steps")
    keys.has_place()
    config = service.http.post("/config", json={}, headers=headers).json()
    assert (config["gateway_host"], config["allowed_hosts"]) == ("localhost", [])
    service.http.post("/config", json={"management_key": None}, headers=headers)


def test_single_letters_can_be_switched_off(board: Page, keys: Keyboard) -> None:
    keys.press("?")
    board.shows("single-letter", "dialog")
    keys.push("dialog input", key=" ")
    keys.press("Escape")
    keys.press("g", "m", "?")
    board.until("nothing", "!document.querySelector('dialog') && location.hash === ''")
    keys.push(".foot-links button", "Keyboard")
    keys.push("dialog input", key=" ")
    keys.press("Escape")
    keys.press("g", "m")
    board.shows("Models", "h1")


def test_a_setting_is_saved_and_discarded(board: Page, keys: Keyboard, service: Service) -> None:
    keys.press("g", "s")
    board.shows("Memory that stays free")
    keys.replace("#in-queue_size", "12")
    board.until("the bar", "document.querySelector('.save-bar')")
    keys.push(".save-bar button", "Save", back=False)
    board.until("no bar", "!document.querySelector('.save-bar')")
    assert service.post("/config", {}).json()["queue_size"] == 12
    keys.has_focus("#in-queue_size")
    board.type("3")
    keys.push(".save-bar button", "Discard")
    board.until("no bar", "!document.querySelector('.save-bar')")
    keys.has_place()


def test_a_preset_is_saved_and_removed(board: Page, keys: Keyboard, service: Service) -> None:
    board.eval(f"location.hash = '#/models/{CHAT_MODEL}?view=settings'")
    board.until("the form", "document.querySelector('#preset-temperature')")
    keys.replace("#preset-temperature", "0.3")
    keys.to("#preset-pinned")
    keys.push(".sticky-foot button", "Save for next load")
    board.shows("Saved", ".sticky-foot")
    assert service.get(f"/models/{CHAT_MODEL}/preset").json()["saved"] == {"temperature": 0.3}
    keys.has_place()
    keys.push(".sticky-foot button", "Back to defaults")
    keys.confirm("Back to defaults")
    board.shows("at its defaults", ".sticky-foot")
    assert service.get(f"/models/{CHAT_MODEL}/preset").json()["saved"] == {}


def test_a_key_is_made_and_revoked_and_lines_are_copied(
    board: Page, keys: Keyboard, service: Service
) -> None:
    service.start()
    board.eval(COPY_TO_WINDOW)
    keys.press("g", "n")
    board.shows("Keys for people", "main")
    keys.push("button", "Copy the base URL")
    board.until("the copy", "window.copied?.endsWith('/v1')")
    keys.push(".chip", "JavaScript", key=" ")
    keys.push("button", "Copy the lines for JavaScript")
    board.until("the copy", "window.copied.includes('await fetch')")
    keys.push("fl-key-list summary", "Make a key")
    keys.replace("#key-name", "alice")
    keys.push("fl-key-list button", "Make key")
    keys.has_focus(".new-key button", "Copy the new key")
    keys.push(".new-key button", "Done")
    keys.has_place()
    keys.push("fl-key-list button", "Revoke the key alice")
    keys.confirm("Revoke")
    eventually("no key", lambda: service.get("/keys").json()["total_count"] == 0)
    keys.has_place()


def test_a_request_is_opened_and_ended_and_the_list_filtered(page: Page, keys: Keyboard, home: Path) -> None:
    with slow_answer(home) as (service, rest):
        page.open(f"{service.root}/#/requests")
        page.shows("Running", "fl-requests")
        keys.push("[data-row] button", "Details of the request")
        page.shows("Read the prompt", "main")
        keys.push("button", "End the request")
        text = rest()
        assert "error" in text and "[DONE]" not in text
        page.until("its end", "!document.querySelector('fl-requests .state.busy')")
        keys.has_place()
        keys.press("/")
        page.type("nothing like this")
        page.shows("No request matches", "main")
        keys.to("select", back=True)


def test_the_log_is_filtered_and_copied(board: Page, keys: Keyboard, service: Service) -> None:
    service.start()
    board.eval(COPY_TO_WINDOW)
    keys.press("g", "l")
    board.shows("Server started", ".log-box")
    keys.to("select[aria-label='Minimum level']")
    keys.press("ArrowDown", "ArrowDown")
    board.until("errors only", "document.querySelector('.log-tools select').value === 'ERROR'")
    keys.press("ArrowUp", "ArrowUp")
    keys.press("Tab")
    keys.press("Tab")
    board.type("Server started")
    keys.push(".check input", key=" ")
    keys.push("button", "Copy the lines that are shown")
    board.until("the copy", "window.copied?.includes('Server started')")
    keys.push("button", "Copy for a bug report")
    board.until("the report", "window.copied.includes('FoundryLocal bug report')")
    keys.to(".log-box")


def test_the_overview_pins_and_unloads_and_the_theme_changes(
    board: Page, keys: Keyboard, service: Service
) -> None:
    service.start()
    service.post(f"/models/{BASE_MODEL}/load")
    board.eval(COPY_TO_WINDOW)
    board.until("two models", "document.querySelectorAll('.loaded-model').length === 2")
    keys.to(".rail select")
    keys.press("ArrowDown", "ArrowDown")
    board.until("the dark theme", "document.documentElement.dataset.theme === 'dark'")
    keys.press("ArrowUp", "ArrowUp")
    keys.push("button", f"Pin {BASE_MODEL}")
    eventually(
        "it is pinned",
        lambda: service.get(f"/models/{BASE_MODEL}/preset").json()["saved"] == {"pinned": True},
    )
    keys.has_focus("button", f"unpin {BASE_MODEL}")
    keys.push("button", f"Unload {BASE_MODEL}")
    board.until("one model", "document.querySelectorAll('.loaded-model').length === 1")
    keys.has_place()
    keys.push("button", f"Unload {CHAT_MODEL}")
    board.shows("No model is loaded", ".overview")
    keys.has_place()
    keys.push("button", "Copy Python code")
    board.until("the copy", "window.copied?.includes('OpenAI')")


def test_dialogs_give_the_focus_back(board: Page, keys: Keyboard) -> None:
    keys.to(".rail a", "Models")
    board.press("k", ctrl=True)
    board.shows("Overview", ".palette")
    keys.press("Escape")
    keys.has_focus(".rail a", "Models")
    keys.press("?")
    board.shows("single-letter", "dialog")
    keys.press("Escape")
    keys.has_focus(".rail a", "Models")
    keys.press("Enter")
    board.shows("Models", "h1")


def test_a_small_window_reaches_every_page(board: Page, keys: Keyboard) -> None:
    board.size(360)
    keys.push(".rail .more", "More")
    keys.has_focus(".rail .in-more", "Logs")
    keys.press("Escape")
    keys.has_focus(".rail .more")
    keys.press("Enter")
    keys.has_focus(".rail .in-more", "Logs")
    keys.push(".rail a", "Settings")
    board.shows("Settings", "h1")


def test_an_endpoint_is_found_opened_and_called_from_docs(
    page: Page, keys: Keyboard, service: Service
) -> None:
    page.open(f"{service.root}/docs")
    page.until("the endpoints", "document.querySelectorAll('article').length > 20")
    keys.to("#filter")
    page.type("/health")
    page.shows("of", "#count")
    headings = "[...document.querySelectorAll('main > h2')].filter((one) => !one.hidden).length"
    assert page.eval(headings) < page.eval("document.querySelectorAll('main > h2').length")
    keys.push("summary", "/health")
    keys.push("button", "Send")
    page.shows('"status": "healthy"', "article .try")
    keys.has_place()
