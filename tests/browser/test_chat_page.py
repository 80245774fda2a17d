"""The chat beside the conversation itself: thoughts, tools, images, what is kept, and models that do not chat."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.page import Page
from tests.browser.test_hostile import answer_with
from tests.running import CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

EMBEDDING_MODEL = "bge-small-en-v1.5-Q8_0-GGUF"
RERANK_MODEL = "bge-reranker-v2-m3-Q8_0-GGUF"
VISION_MODEL = "Qwen3.5-0.8B-Q4_K_M-GGUF"
# One red pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
PASTE = f"""
(() => {{
  const data = new DataTransfer();
  const bytes = Uint8Array.from(atob('{PNG}'), (one) => one.charCodeAt(0));
  data.items.add(new File([bytes], 'red.png', {{type: 'image/png'}}));
  document.querySelector('fl-composer textarea').dispatchEvent(
    new ClipboardEvent('paste', {{clipboardData: data, bubbles: true, cancelable: true}}));
}})()
"""


@pytest.fixture
def chat(page: Page, service: Service) -> Page:
    service.start()
    page.open(f"{service.root}/#/chat")
    page.until("a model", f"document.querySelector('#chat-model')?.value === '{CHAT_MODEL}'")
    return page


def ask(page: Page, question: str) -> None:
    page.eval("document.querySelector('fl-composer textarea').focus()")
    page.type(question)
    page.press("Enter")


def test_thoughts_are_folded_tools_are_raw_and_so_is_an_answer_on_demand(chat: Page) -> None:
    answer_with(chat, '**bold** {"a": 1}')
    ask(chat, "Hello")
    chat.until("the formatted answer", "document.querySelector('.thread strong')")
    assert chat.eval("[...document.querySelectorAll('.thread details')].map((one) => one.open)") == [
        False,
        False,
    ]
    chat.click(".thread summary", "Calls")
    chat.shows('{"a": 1}', ".thread details[open] pre")
    chat.click(".message-foot button", "as it was received")
    chat.shows("**bold**", ".thread pre.raw")
    chat.click(".message-foot button", "Show the formatted answer")
    chat.until("the formatted answer", "document.querySelector('.thread strong')")


def test_a_text_model_refuses_images(chat: Page) -> None:
    chat.eval(PASTE)
    chat.shows("This model does not take images", "fl-composer")
    assert chat.eval("!document.querySelector('fl-composer input[type=file]')")


def test_an_image_is_pasted_removed_and_sent_to_a_model_that_takes_it(page: Page, home: Path) -> None:
    store_tiny_model(home, VISION_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        service.start(VISION_MODEL)
        page.open(f"{service.root}/#/chat")
        page.shows("Add image", "fl-composer")
        for _ in range(2):
            page.eval(PASTE)
        page.until("two images", "document.querySelectorAll('fl-composer img').length === 2")
        page.click("fl-composer button", "Remove image 1")
        page.eval(
            "(() => { const real = window.fetch; window.fetch = (url, options) => {"
            " if (String(url).endsWith('/chat/completions')) window.sent = options.body;"
            " return real(url, options); }; })()"
        )
        ask(page, "What is it?")
        body = json.loads(page.until("the request", "window.sent"))
        parts = body["messages"][0]["content"]
        assert [part["type"] for part in parts] == ["text", "image_url"]
        assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")


def test_nothing_is_kept_unless_it_is_switched_on(chat: Page, service: Service) -> None:
    stored = "JSON.stringify(localStorage)"
    ask(chat, "A secret question")
    chat.shows("first token", ".thread")
    assert "secret" not in chat.eval(stored)
    chat.click("label", "Keep this conversation")
    chat.until("it is kept", f"{stored}.includes('secret')")
    chat.eval("location.reload()")
    chat.shows("A secret question", ".thread")
    chat.click("label", "Keep this conversation")
    chat.until("it is forgotten", f"!{stored}.includes('secret')")


def test_texts_are_compared_by_an_embedding_model(page: Page, home: Path) -> None:
    store_tiny_model(home, EMBEDDING_MODEL, keys={"llama.pooling_type": 1})
    with running(home, worker=FAKE_WORKER) as service:
        service.start(EMBEDDING_MODEL)
        page.open(f"{service.root}/#/chat")
        page.shows("How similar are these texts?", "main")
        fill(page, "a cat", "a dog\na house")
        page.click("button", "Compare")
        page.shows("Most similar first", "fl-vector-form table")
        assert page.eval("document.querySelectorAll('fl-vector-form tbody tr').length") == 2


def test_texts_are_ranked_by_a_rerank_model(page: Page, home: Path) -> None:
    store_tiny_model(home, RERANK_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        page.open(f"{service.root}/#/chat?model={RERANK_MODEL}")
        page.shows("Which text answers the question best?", "main")
        scores = {"results": [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]}
        page.eval(
            "(() => { const real = window.fetch; window.fetch = (url, ...rest) => String(url).endsWith('/v1/rerank')"
            f" ? Promise.resolve(new Response({json.dumps(json.dumps(scores))})) : real(url, ...rest); }})()"
        )
        fill(page, "Where is Paris?", "A recipe\nParis is in France")
        page.click("button", "Rank")
        page.shows("Best first", "fl-vector-form table")
        assert page.text("fl-vector-form tbody tr:first-child").split("\t") == ["0.900", "Paris is in France"]


def fill(page: Page, query: str, texts: str) -> None:
    for field, text in (("#v-query", query), ("#v-texts", texts)):
        page.eval(f"document.querySelector('{field}').focus()")
        page.type(text)
