"""The web page of docs/tutorial/first-app.md works in a browser, served from a folder as the tutorial says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.docs.blocks import marked
from tests.docs.test_commands import free_ports
from tests.running import REPOSITORY, Service, eventually

LESSON = REPOSITORY / "docs" / "tutorial" / "first-app.md"


def html_of(lesson: Path, gateway: str) -> str:
    """The page that the lesson shows, with the address of a test's gateway."""
    [page] = marked("browser")[lesson]
    assert "http://127.0.0.1:1234/v1/" in page.text
    return page.text.replace("http://127.0.0.1:1234/v1", gateway)


@pytest.fixture
def served(tmp_path: Path, service: Service) -> str:
    """The address of the page, with its server."""
    service.start()
    (tmp_path / "chat.html").write_text(html_of(LESSON, service.status()["health"]["endpoint"]), "utf-8")
    return str(tmp_path)


def test_a_question_is_answered_and_a_wrong_key_is_said(page: Page, service: Service, served: str) -> None:
    port = free_ports(("page",))["page"]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", served]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            eventually("the page's server", lambda: page_is_there(page, port))
            ask(page, "fl-wrong", "Hello?")
            page.shows("Invalid API key", "#answer")
            page.open(f"http://127.0.0.1:{port}/chat.html")
            ask(page, service.status()["health"]["api_key"], "Hello?")
            page.shows("word1", "#answer")
        finally:
            server.terminate()


def page_is_there(page: Page, port: int) -> bool:
    page.open(f"http://127.0.0.1:{port}/chat.html")
    return bool(page.eval("document.title") == "Chat")


def ask(page: Page, key: str, question: str) -> None:
    page.until("the form", "document.querySelector('#key')")
    for field, text in (("#key", key), ("#question", question)):
        page.click(field)
        page.type(text)
    page.click("button", "Ask")
