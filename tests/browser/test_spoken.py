"""What screen readers are told: loads, downloads, answers; and what they are not told unless asked."""

from __future__ import annotations

from pathlib import Path

from tests.browser.page import Page
from tests.browser.spoken import hears, listen
from tests.fakes.gguf_corpus import gguf
from tests.fakes.hub import FakeHub
from tests.running import CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model


def test_a_load_and_an_unload_are_spoken(board: Page) -> None:
    listen(board)
    board.eval("location.hash = '#/models'")
    board.click("button", f"Load {CHAT_MODEL}")
    hears(board, f"Model loaded: {CHAT_MODEL}")
    board.click("button", f"Unload {CHAT_MODEL}")
    hears(board, f"Model unloaded: {CHAT_MODEL}")


def test_a_download_is_spoken_at_its_quarters_and_its_end(page: Page, home: Path) -> None:
    with FakeHub() as hub, running(home, worker=FAKE_WORKER, **hub.environment) as service:
        hub.add("me/tiny", "tiny-Q8_0.gguf", gguf() + bytes(2_000_000))
        hub.storage_faults.append("stall:1100000")
        page.open(f"{service.root}/#/models?tab=hub&find=tiny")
        page.shows("me/tiny", "main")
        listen(page)
        page.click("button", "Download me/tiny Q8_0")
        hears(page, "50 percent")
        service.post("/downloads/tiny-Q8_0-GGUF/pause")
        service.post("/downloads/tiny-Q8_0-GGUF/resume")
        hears(page, "Download of tiny-Q8_0-GGUF: done")


def test_an_answer_is_spoken_whole_or_by_sentence(page: Page, service: Service) -> None:
    service.start()
    page.open(f"{service.root}/#/settings")
    page.until("the choice", "document.querySelector('#page-speech')")
    page.eval(
        "((one) => { one.value = 'sentence'; one.dispatchEvent(new Event('change')); })"
        "(document.querySelector('#page-speech'))"
    )
    page.eval("location.hash = '#/chat'")
    page.until("a model", f"document.querySelector('#chat-model')?.value === '{CHAT_MODEL}'")
    for when, words in (("sentence", ["One.", "Two!", "Three"]), ("whole", ["Answer: One. Two! Three"])):
        page.eval(f"localStorage.setItem('foundrylocal.speakAnswers', JSON.stringify('{when}'))")
        listen(page)
        stream_words(page, ["One. ", "Two! ", "Three"])
        page.eval("document.querySelector('fl-composer textarea').focus()")
        page.type("Count")
        page.press("Enter")
        hears(page, words[-1])
        assert [one for one in page.eval("window.said") if one in words] == words
    page.eval("localStorage.removeItem('foundrylocal.speakAnswers')")


def stream_words(page: Page, parts: list[str]) -> None:
    """Let the gateway's answer be these parts, a frame or two apart."""
    page.eval(
        "(() => { window.realFetch ??= window.fetch; window.fetch = (url, ...rest) => {"
        " if (!String(url).endsWith('/chat/completions')) return realFetch(url, ...rest);"
        f" const parts = {parts!r}; const encoder = new TextEncoder();"
        " return Promise.resolve(new Response(new ReadableStream({ async pull(to) {"
        "  await new Promise((resolve) => setTimeout(resolve, 100));"
        "  if (!parts.length) return to.close();"
        "  const event = JSON.stringify({choices: [{delta: {content: parts.shift()}}]});"
        "  to.enqueue(encoder.encode(`data: ${event}\\n\\n`));"
        " } }))); }; })()"
    )


def test_the_log_is_silent_unless_asked(board: Page) -> None:
    board.eval("location.hash = '#/logs'")
    board.until("the log", "document.querySelector('.log-box')?.ariaLive === 'off'")
    board.click(".log-tools label", "Read aloud")
    board.until("it is read", "document.querySelector('.log-box').ariaLive === 'polite'")
    board.click(".log-tools label", "Read aloud")
    board.until("silence", "document.querySelector('.log-box').ariaLive === 'off'")


def test_how_many_models_match_is_in_a_status_region(page: Page, home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        page.open(f"{service.root}/#/models?tab=catalogue&find=smol")
        page.shows("Showing", ".filters [role=status]")
