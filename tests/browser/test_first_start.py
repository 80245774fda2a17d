"""From an empty home to an answer in three clicks, and to Python that runs in four, with the real starter model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foundrylocal.catalog.library import Library
from tests.browser.page import Page
from tests.running import CHAT_MODEL_ID, TEST_MODELS, Service, running

pytestmark = pytest.mark.model


class Clicks:
    """What a newcomer does, counted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.count = 0

    def __call__(self, selector: str, words: str = "") -> None:
        self.page.click(selector, words)
        self.count += 1


@pytest.fixture
def ollama_store(model_cache: Path, tmp_path: Path) -> Path:
    """A store of another program that has the starter model's bytes, so that the test fetches nothing."""
    stored = Library(TEST_MODELS).get(CHAT_MODEL_ID)
    assert stored is not None
    blobs = tmp_path / "ollama" / "blobs"
    blobs.mkdir(parents=True)
    os.link(stored.model_path, blobs / f"sha256-{stored.files[0].sha256}")
    return blobs.parent


@pytest.mark.timeout(400)
def test_from_an_empty_home_to_an_answer_and_to_python_that_runs(
    page: Page, home: Path, ollama_store: Path
) -> None:
    with running(home, OLLAMA_MODELS=str(ollama_store)) as service:
        page.open(service.root)
        page.shows("Try the starter model")
        click = Clicks(page)
        click("button", "Download and start")
        page.until("the chat", "document.querySelector('fl-composer textarea')", 180)
        page.until("the focus in the field", "document.activeElement.localName === 'textarea'")
        page.type("What is the capital of France?")
        click("fl-composer button", "Send")
        page.until("the figures", "document.querySelector('.thread')?.innerText.includes('tokens/s')", 120)
        assert len(page.text(".thread fl-markdown")) > 2
        assert click.count <= 3
        click.count = 1  # the start, and what leads to Python from there
        page.eval(
            "navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }"
        )
        click(".rail a", "Overview")
        click("button", "Copy Python code")
        assert click.count <= 4
        program = str(page.until("the copy", "window.copied"))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
        assert done.returncode == 0 and done.stdout.strip(), done.stderr


@pytest.mark.timeout(400)
def test_a_preset_is_saved_reloaded_and_in_force(page: Page, real_service: Service) -> None:
    service = real_service
    name = CHAT_MODEL_ID.rpartition("/")[2]
    service.start()
    page.open(f"{service.root}/#/models/{name}?view=settings")
    page.until("the form", "document.querySelector('#preset-context_size')")
    for field, text in (("context_size", "1024"), ("temperature", "0"), ("max_tokens", "7")):
        page.eval(f"document.querySelector('#preset-{field}').focus()")
        page.type(text)
    page.click(".sticky-foot button", "Save and reload now")
    page.until("the reload", "document.querySelector('.panel')?.innerText.includes('Reloaded')", 120)
    machine = service.get("/machine").json()
    assert [one["context_size"] for one in machine["models"]] == [1024]
    with service.gateway() as gateway:
        body = {"model": name, "messages": [{"role": "user", "content": "Count to a hundred."}]}
        answer = gateway.post("/v1/chat/completions", json=body).json()
    assert answer["usage"]["completion_tokens"] == 7
    page.click(".sticky-foot button", "Back to defaults")
    page.click("dialog button", "Back to defaults")
    page.shows("at its defaults", ".panel")
    assert service.get(f"/models/{name}/preset").json()["saved"] == {}


@pytest.mark.timeout(400)
def test_the_memory_sliders_say_what_the_plan_says(page: Page, real_service: Service) -> None:
    service = real_service
    name = CHAT_MODEL_ID.rpartition("/")[2]
    page.open(f"{service.root}/#/models/{name}?view=memory")
    page.until("the sliders", "document.querySelector('#slider-context_size')")
    for context in (512, 2048, 8192):
        page.eval(
            f"((one) => {{ one.value = Math.log2({context}); one.dispatchEvent(new Event('input')); }})"
            "(document.querySelector('#slider-context_size'))"
        )
        body = {"model_name": name, "options": {"context_size": context, "parallel": 4}}
        plan = service.post("/plan", body).json()
        size = plan["memory"]["needed_bytes"]
        needed = page.eval(f"import('/ui/dashboard/core/format.js').then((one) => one.bytes({size}))")
        page.shows(needed, "fl-model-memory")
