"""The dashboard in a real browser, against a real service with the fake engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.fakes.gguf_corpus import gguf
from tests.fakes.hub import FakeHub
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model


def state_of(service: Service) -> str:
    return str(service.status()["status"])


def test_a_model_is_loaded_chatted_with_and_unloaded(board: Page, service: Service) -> None:
    board.click(".rail a", "Models")
    board.click("button", f"Load {CHAT_MODEL}")
    board.shows("Loaded", f"tr:has([href*='{CHAT_MODEL}'])")
    board.shows("Ready", ".state-pill")
    board.click(".rail a", "Chat")
    board.until("the field", "document.querySelector('fl-composer textarea')")
    board.type("Hello")
    board.press("Enter")
    board.shows("tokens/s", ".thread")
    board.shows("first token", ".thread")
    board.click(".rail a", "Overview")
    board.shows("planned", ".overview")
    board.shows("Done", ".overview")
    board.click("button", f"Unload {CHAT_MODEL}")
    board.shows("No model is loaded", ".overview")
    assert service.status()["loaded_model_id"] is None


def test_the_list_says_what_the_plan_says(board: Page, service: Service) -> None:
    plan = service.post("/plan", {"model_name": BASE_MODEL}).json()
    needed = f"{plan['memory']['needed_bytes'] / 1024**2:.1f} MB fits"
    board.click(".rail a", "Models")
    board.shows(needed, f"tr:has([href*='{BASE_MODEL}'])")
    assert "≥" not in board.text(f"tr:has([href*='{BASE_MODEL}'])")


def test_a_switch_makes_another_model_the_current_one(board: Page, service: Service) -> None:
    service.start(CHAT_MODEL)
    board.click(".rail a", "Models")
    board.click("button", f"More for {BASE_MODEL}")
    board.click(".menu-list button", "Make it the current model")
    eventually("the switch", lambda: service.status()["current_model"] == BASE_MODEL)
    board.shows("Loaded", f"tr:has([href*='{BASE_MODEL}'])")


def test_a_failed_load_says_why_where_it_was_asked_for(page: Page, home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL, worker_flags="--fail-with 'unknown model architecture: novel'")
    with running(home, worker=FAKE_WORKER) as service:
        page.open(f"{service.root}/#/models")
        page.click("button", f"Load {CHAT_MODEL}")
        page.shows("novel", "fl-models")
        page.click(".rail a", "Overview")
        page.shows("novel", "fl-loaded-models")
        page.shows("Try again", "fl-loaded-models")
        page.shows("Failed", ".state-pill")


def test_a_download_is_paused_resumed_and_cancelled(page: Page, home: Path) -> None:
    with FakeHub() as hub, running(home, worker=FAKE_WORKER, **hub.environment) as service:
        hub.add("me/tiny", "tiny-Q8_0.gguf", gguf() + bytes(2_000_000))
        hub.storage_faults.append("stall:1000000")
        page.open(f"{service.root}/#/models?tab=hub&find=tiny")
        page.click("button", "Download me/tiny Q8_0")
        hub.wait_for_sent(1_000_000)
        page.click(".top button", "Downloads")
        page.click(".drawer button", "Pause")
        page.shows("Paused", ".drawer")
        assert [one["state"] for one in service.get("/downloads").json()["downloads"]] == ["paused"]
        page.shows("was paused", "main")
        assert page.eval("!document.querySelector('main .error-box')")
        hub.storage_faults.append("stall:1500000")
        page.click(".drawer button", "Resume")
        page.shows("Downloading", ".drawer")
        hub.wait_for_sent(1_200_000)
        page.click(".drawer button", "Cancel")
        page.shows("Cancelled", ".drawer")
        page.click(".drawer button", "Download")
        page.shows("Done", ".drawer")
        page.until("the model in the list", "document.querySelector('.drawer button:not(:disabled)')")


def test_the_answer_stops_in_the_middle(page: Page, home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL, worker_flags="--rate 20 --tokens 400")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        page.open(f"{service.root}/#/chat")
        page.until("a model", f"document.querySelector('#chat-model')?.value === '{CHAT_MODEL}'")
        page.eval("document.querySelector('fl-composer textarea').focus()")
        page.type("Tell me a long story")
        page.press("Enter")
        page.until("words", "document.querySelector('.thread fl-markdown')?.innerText.length > 5")
        page.press("Escape")
        page.shows("stopped by you", ".thread")
        eventually("a free slot", lambda: service.status()["queues"][0]["running"] == 0)


def test_the_service_is_killed_and_comes_back(page: Page, home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        port = service.port
        page.open(service.root)
        page.shows("Loaded models", "main")
        page.eval("window.isTheSamePage = true")
        service.kill()
        page.shows("has not answered since", ".notice", 60)
        page.shows("Loaded models", "main")
        assert page.eval(
            "[...document.querySelectorAll('main .button.primary')].every((one) => one.disabled)"
        )
    again = Service(home, worker=FAKE_WORKER, port=port)
    try:
        page.click(".notice button", "Try now")
        page.until("no notice", "!document.querySelector('.notice')")
        assert page.eval("window.isTheSamePage"), "the page was reloaded"
        page.shows("No model", ".state-pill")
    finally:
        again.stop()


def test_the_management_key_is_asked_for_and_taken(page: Page, home: Path) -> None:
    key = "a-key-of-sixteen-characters"
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MANAGEMENT_KEY=key) as service:
        page.open(service.root)
        page.shows("Paste the management key")
        page.type("this is not the right key")
        page.press("Enter")
        page.shows("refused this key")
        page.eval("document.querySelector('#management-key').focus()")
        page.type(key)
        page.press("Enter")
        page.shows("Try the starter model")
        stored = page.eval("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")
        assert key not in stored


def test_a_setting_is_saved_and_a_wrong_one_is_explained_at_its_field(board: Page, service: Service) -> None:
    board.click(".rail a", "Settings")
    board.shows("Memory that stays free")
    board.eval("document.querySelector('#in-queue_size').select()")
    board.type("12")
    board.click(".save-bar button", "Save")
    board.until("no bar", "!document.querySelector('.save-bar')")
    assert service.post("/config", {}).json()["queue_size"] == 12
    board.eval("document.querySelector('#in-queue_size').select()")
    board.type("123456")
    board.click(".save-bar button", "Save")
    board.shows("less than or equal to 10000", "#setting-queue_size")
    assert service.post("/config", {}).json()["queue_size"] == 12
    board.shows("Set by FOUNDRYLOCAL_PORT", "#setting-port")
    assert board.eval("document.querySelector('#in-port').disabled")


def test_a_key_is_made_shown_once_and_revoked(board: Page, service: Service) -> None:
    board.click(".rail a", "Connect")
    board.click("fl-key-list summary", "Make a key")
    board.eval("document.querySelector('#key-name').focus()")
    board.type("alice")
    board.click("fl-key-list button", "Make key")
    key = board.until("the key", "document.querySelector('.new-key code')?.textContent")
    assert key.startswith("fl-")
    assert [one["name"] for one in service.get("/keys").json()["keys"]] == ["alice"]
    board.click("fl-key-list button", "Done")
    board.until("no key", "!document.querySelector('.new-key')")
    board.click("fl-key-list button", "Revoke the key alice")
    board.click("dialog button", "Revoke")
    eventually("no key", lambda: service.get("/keys").json()["total_count"] == 0)


def test_pages_have_addresses_and_the_palette_finds_them(board: Page) -> None:
    board.press("k", ctrl=True)
    board.type("queue size")
    board.shows("queue_size", ".palette")
    board.press("Enter")
    board.shows("Requests that may wait", "#setting-queue_size")
    assert board.eval("location.hash") == "#/settings?find=queue_size"
    board.eval("history.back()")
    board.shows("Loaded models", "main")
    board.eval(f"location.hash = '#/models/{CHAT_MODEL}?view=memory'")
    board.shows("free for a model", ".panel")
    board.eval("location.reload()")
    board.shows("free for a model", ".panel")


def test_the_log_follows_and_pauses(board: Page, service: Service) -> None:
    service.post("/config", {"default_log_level": "DEBUG"})
    board.click(".rail a", "Logs")
    board.until("the log", "document.querySelector('.log-tools select')")
    board.eval(
        "document.querySelector('.log-tools select').value = 'DEBUG';"
        "document.querySelector('.log-tools select').dispatchEvent(new Event('change'))"
    )
    for _ in range(60):
        service.get("/health")
    overflows = "((box) => box.scrollHeight > box.clientHeight + 200)(document.querySelector('.log-box'))"
    board.until("enough lines", overflows)
    board.eval("document.querySelector('.log-box').scrollTop = 0")
    service.get("/health")
    board.shows("new line", ".log-more")
    board.click(".log-more")
    board.until("the end", "document.querySelector('.log-more').hidden")


def test_nothing_is_asked_of_any_other_address(board: Page, service: Service) -> None:
    service.start()
    origins = {f"http://127.0.0.1:{service.port}", service.status()["health"]["endpoint"].removesuffix("/v1")}
    for screen in ("overview", "models?tab=catalogue", "chat", "requests", "logs", "connect", "settings"):
        board.eval(f"location.hash = '#/{screen}'")
        board.until("the screen", "document.querySelector('main > .screen > *')")
    local = [url for url in board.requests if url.startswith("http")]
    assert len(local) > 30
    assert {"/".join(url.split("/")[:3]) for url in local} <= origins


def weigh(page: Page) -> int:
    found = "performance.getEntriesByType('resource').filter((one) => one.name.includes('/ui/'))"
    return sum(page.eval(f"{found}.map((one) => one.decodedBodySize)"))


def test_all_of_it_weighs_less_than_300_kb(board: Page, service: Service) -> None:
    folder = Path(__file__).parents[2] / "src" / "foundrylocal" / "ui"
    files = [file for file in folder.rglob("*") if file.suffix in (".js", ".css", ".html", ".svg")]
    assert sum(file.stat().st_size for file in files) < 300 * 1024
    assert 30_000 < weigh(board) < 300 * 1024


def test_a_file_that_the_browser_has_is_not_sent_again(service: Service) -> None:
    first = service.http.get(f"{service.root}/ui/dashboard/app.js")
    tag = first.headers["etag"]
    assert service.http.get(first.url, headers={"If-None-Match": tag}).status_code == 304
    assert first.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "../__init__.py",
        "dashboard/../../runtime.py",
        "%2e%2e/errors.py",
        "dashboard",
        "dashboard/app.py",
        "",
        "dashboard//app.js",
    ],
)
def test_only_files_of_the_pages_are_served(service: Service, path: str) -> None:
    answer = service.http.get(f"{service.root}/ui/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "endpoint_not_found")


def test_the_policy_allows_no_inline_code_and_no_other_origin(service: Service) -> None:
    policy = service.http.get(service.root).headers["content-security-policy"]
    assert "default-src 'none'" in policy and "'unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy and "frame-ancestors 'none'" in policy
    connect = next(part for part in policy.split(";") if "connect-src" in part)
    assert connect.split() == ["connect-src", "'self'", "http://127.0.0.1:*", "http://localhost:*"]
