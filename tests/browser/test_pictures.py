"""Pictures of every screen and state, light and dark, wide and small, and the one of the README.

They are kept where PICTURES names a folder (`make pictures`), for people to look at; otherwise the tests show only
that each state is reached without a fault.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.browser.test_chat_page import EMBEDDING_MODEL
from tests.browser.test_cluster import ALONE, CLUSTER, opened
from tests.fakes.gguf_corpus import gguf
from tests.fakes.hub import FakeHub
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, REPOSITORY, Service, running, store_tiny_model

QUESTION = "What is a context window, in two sentences?"
SIZES = [(1300, 900), (360, 800)]


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Callable[[str], None]:
    folder = Path(os.environ.get("PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def shoot(name: str) -> None:
        for width, height in SIZES:
            for scheme in ("light", "dark"):
                page.size(width, height)
                page.scheme(scheme)
                page.eval("new Promise((resolve) => setTimeout(resolve, 300))")
                page.picture(folder / f"{name}-{width}-{scheme}.png")
        page.size(*SIZES[0])
        page.scheme("light")

    return shoot


def test_an_empty_home(page: Page, home: Path, shoot: Callable[[str], None]) -> None:
    with running(home, worker=FAKE_WORKER) as service:
        page.open(service.root)
        page.shows("Try the starter model")
        shoot("overview-empty")
        page.eval("location.hash = '#/models'")
        page.shows("Showing")
        shoot("models-catalogue")
        page.eval("location.hash = '#/chat'")
        page.shows("No models on this machine yet")
        shoot("chat-empty")
        service.kill()
        page.shows("has not answered", ".notice", 60)
        shoot("disconnected")


def test_a_key_is_needed(page: Page, home: Path, shoot: Callable[[str], None]) -> None:
    with running(
        home, worker=FAKE_WORKER, FOUNDRYLOCAL_MANAGEMENT_KEY="a-key-of-sixteen-characters"
    ) as service:
        page.open(service.root)
        page.shows("Paste the management key")
        shoot("key-needed")


def test_a_cluster(page: Page, service: Service, shoot: Callable[[str], None]) -> None:
    for name, answer, words in (
        ("cluster", CLUSTER, "Connected to"),
        ("cluster-alone", ALONE, "cluster head"),
    ):
        opened(page, service, answer)
        page.shows(words, "main")
        shoot(name)


def test_a_load_that_failed(page: Page, home: Path, shoot: Callable[[str], None]) -> None:
    store_tiny_model(home, CHAT_MODEL, worker_flags="--fail-with 'unknown model architecture: novel'")
    with running(home, worker=FAKE_WORKER) as service:
        page.open(f"{service.root}/#/models")
        page.click("button", f"Load {CHAT_MODEL}")
        page.shows("novel", "fl-models")
        shoot("models-failed")
        page.eval("location.hash = '#/overview'")
        page.shows("Try again", "fl-loaded-models")
        shoot("overview-failed")


@pytest.mark.timeout(300)
def test_a_service_in_use(page: Page, home: Path, shoot: Callable[[str], None]) -> None:
    store_tiny_model(home, CHAT_MODEL, worker_flags="--rate 40 --tokens 30")
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        service.post("/keys", {"name": "alice", "requests_per_minute": 20})
        with service.gateway() as gateway:
            for index in range(5):
                body = {
                    "messages": [{"role": "user", "content": f"Question {index}"}],
                    "stream": index % 2 == 0,
                }
                gateway.post("/v1/chat/completions", json=body)
        page.open(service.root)
        page.shows("Last requests", "main")
        shoot("overview")
        for name, address, words in (
            ("models", "models", "2 models"),
            ("details-about", f"models/{CHAT_MODEL}", "Architecture"),
            ("details-memory", f"models/{CHAT_MODEL}?view=memory", "free for a model"),
            ("details-settings", f"models/{CHAT_MODEL}?view=settings", "Answers"),
            ("details-use", f"models/{CHAT_MODEL}?view=use", "Base URL"),
            ("details-log", f"models/{CHAT_MODEL}?view=log", "Open the log"),
            ("models-nothing-found", "models?find=nothing-like-this", "No model matches"),
            ("models-hub", "models?tab=hub", "Any GGUF model"),
            ("model-unknown", "models/no-such-model", "There is no model named"),
            ("other-programs", "models?tab=other", "Import a file"),
            ("requests", "requests", "Since the service started"),
            ("logs", "logs", "Server started"),
            ("connect", "connect", "Base URL"),
            ("settings", "settings", "Memory that stays free"),
        ):
            page.eval(f"location.hash = '#/{address}'")
            page.shows(words, "body")
            shoot(name)
        page.press("Escape")
        for name, key, words in (("shortcuts", "?", "single-letter"), ("palette", "k", "Overview")):
            page.eval("document.activeElement.blur()")
            page.press(key, ctrl=key == "k")
            page.shows(words, "dialog")
            shoot(name)
            page.press("Escape")
        page.eval("location.hash = '#/chat'")
        page.until("the field", "document.activeElement.localName === 'textarea'")
        page.type(QUESTION)
        page.press("Enter")
        page.shows("first token", ".thread")
        shoot("chat")
        page.open(f"{service.root}/docs")
        page.click("article summary")
        shoot("docs")


@pytest.mark.timeout(300)
def test_dialogs_and_forms_in_use(page: Page, home: Path, shoot: Callable[[str], None]) -> None:
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, EMBEDDING_MODEL, keys={"llama.pooling_type": 1})
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        page.open(f"{service.root}/#/models")
        page.click("button", f"More for {EMBEDDING_MODEL}")
        shoot("menu")
        page.click(".menu-list button", "Delete")
        page.shows("can be downloaded again", "dialog")
        shoot("delete")
        page.press("Escape")
        page.eval("location.hash = '#/requests'")
        page.shows("No requests yet", "main")
        shoot("requests-empty")
        page.eval("location.hash = '#/connect'")
        page.click("fl-key-list summary", "Make a key")
        page.eval("document.querySelector('#key-name').focus()")
        page.type("alice")
        page.click("fl-key-list button", "Make key")
        page.shows("will not be shown again", "fl-key-list")
        shoot("key-made")
        page.eval("location.hash = '#/settings'")
        page.until("the settings", "document.querySelector('#in-queue_size')")
        page.eval("document.querySelector('#in-queue_size').select()")
        page.type("123456")
        page.click(".save-bar button", "Save")
        page.shows("less than or equal to", "#setting-queue_size")
        shoot("settings-wrong")
        page.eval(f"location.hash = '#/chat?model={EMBEDDING_MODEL}'")
        page.shows("How similar are these texts?", "main")
        shoot("chat-embedding")


def test_downloads_in_their_states(page: Page, home: Path, shoot: Callable[[str], None]) -> None:
    with FakeHub() as hub, running(home, worker=FAKE_WORKER, **hub.environment) as service:
        hub.add("me/tiny", "tiny-Q8_0.gguf", gguf() + bytes(2_000_000))
        hub.storage_faults.append("stall:1000000")
        page.open(f"{service.root}/#/models?tab=hub&find=tiny")
        page.shows("me/tiny", "main")
        shoot("models-hub-found")
        page.click("button", "Download me/tiny Q8_0")
        hub.wait_for_sent(1_000_000)
        page.click(".top button", "Downloads")
        page.click(".drawer button", "Pause")
        page.shows("Paused", ".drawer")
        shoot("downloads-paused")
        page.click(".drawer button", "Cancel")
        page.shows("Cancelled", ".drawer")
        shoot("downloads-cancelled")


def test_a_load_in_progress(page: Page, home: Path, shoot: Callable[[str], None]) -> None:
    store_tiny_model(home, CHAT_MODEL, worker_flags="--never-ready")
    with running(home, worker=FAKE_WORKER) as service:
        page.open(f"{service.root}/#/models")
        page.click("button", f"Load {CHAT_MODEL}")
        page.shows("Loading", ".state-pill")
        shoot("models-loading")
        page.eval("location.hash = '#/overview'")
        page.shows("Loading", "fl-loaded-models")
        shoot("overview-loading")


@pytest.mark.model
@pytest.mark.timeout(300)
def test_the_picture_of_the_readme(page: Page, real_service: Service) -> None:
    real_service.start()
    with real_service.gateway() as gateway:
        for question in ("Name three rivers.", "What is a haiku?", "Write a haiku about rain."):
            body = {"messages": [{"role": "user", "content": question}], "stream": True, "max_tokens": 40}
            gateway.post("/v1/chat/completions", json=body)
    page.size(1200, 760)
    page.open(real_service.root)
    page.until("the figures", "document.querySelector('.overview')?.innerText.includes('tok/s')")
    page.eval("new Promise((resolve) => setTimeout(resolve, 500))")
    if "PICTURES" in os.environ:
        page.picture(REPOSITORY / "docs" / "dashboard.png")
