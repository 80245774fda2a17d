"""The first screen: the last problem, a failed load, and what asks before it interrupts answers."""

from __future__ import annotations

from pathlib import Path

from tests.browser.page import Page
from tests.browser.slow_answer import slow_answer
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, running, store_tiny_model

FAILING = "--fail-with 'unknown model architecture: novel'"


def test_the_last_problem_has_its_time_leads_to_the_log_and_is_dismissed(page: Page, home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL, worker_flags=FAILING)
    with running(home, worker=FAKE_WORKER) as service:
        service.post("/start", {"model_name": CHAT_MODEL})
        page.open(service.root)
        page.shows("novel", "section[aria-label='Last problem']")
        page.shows("ago", "section[aria-label='Last problem']")
        page.click("a", "Show in log")
        page.shows("novel", ".log-box")
        assert page.eval("location.hash") == "#/logs?level=WARNING"
        page.eval("history.back()")
        page.click("button", "Dismiss")
        page.until("no problem", "!document.querySelector(\"section[aria-label='Last problem']\")")


def test_a_failed_load_is_tried_with_a_smaller_context(page: Page, home: Path) -> None:
    file = store_tiny_model(home, CHAT_MODEL, context_length=8192, worker_flags=FAILING)
    with running(home, worker=FAKE_WORKER) as service:
        page.open(f"{service.root}/#/models")
        page.click("button", f"Load {CHAT_MODEL}")
        page.shows("novel", "fl-models")
        file.with_name(file.name + ".flags").write_text("")
        page.click(".rail a", "Overview")
        page.click("fl-loaded-models button", "Smaller context")
        page.shows("2K tokens", "fl-loaded-models")
        assert service.get("/machine").json()["models"][0]["context_size"] == 2048


def test_unload_all_asks_while_an_answer_is_written(page: Page, home: Path) -> None:
    store_tiny_model(home, BASE_MODEL)
    with slow_answer(home) as (service, rest):
        service.post(f"/models/{BASE_MODEL}/load")
        page.open(service.root)
        page.until("a running answer", "document.querySelector('.figures')?.innerText.includes('1 of')")
        page.click("button", "Unload all")
        page.shows("1 answer is still being written", "dialog")
        page.click("dialog button", "Cancel")
        assert len(service.get("/models/loaded").json()["models"]) == 2
        service.post("/config", {"drain_seconds": 0})
        page.click("button", "Unload all")
        page.click("dialog button", "Unload all")
        page.shows("No model is loaded", ".overview")
        assert "[DONE]" not in rest()
