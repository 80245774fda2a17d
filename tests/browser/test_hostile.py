"""A model whose name, answers and thoughts are full of markup: nothing runs, nothing is fetched."""

from __future__ import annotations

import json
from pathlib import Path

from tests.browser.page import Page
from tests.fakes.gguf_corpus import tiny_keys, write_gguf
from tests.running import CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

HOSTILE = """<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>
<iframe src="http://evil.example/a"></iframe><svg onload=window.hacked=3></svg>
![picture](http://evil.example/b.png) [link](javascript:window.hacked=4)
[data](data:text/html,<script>window.hacked=5</script>)
<style>@import 'http://evil.example/c';</style> <base href="http://evil.example/">
[ok](https://example.com/fine) `code <b>` **bold**

<form action="http://evil.example/d"><button>x</button></form>
"""


def answer_with(page: Page, text: str) -> None:
    """Let the gateway's answer be this text; the page's own code reads it as it reads any answer."""
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": text, "reasoning_content": text}}]},
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {"tool_calls": [{"index": 0, "function": {"name": text, "arguments": text}}]},
                }
            ]
        },
        {"choices": [{"index": 0, "delta": {}, "finish_reason": text}]},
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    page.eval(
        "(() => { const real = window.fetch;"
        " window.fetch = (url, ...rest) => String(url).endsWith('/chat/completions')"
        f" ? Promise.resolve(new Response({json.dumps(body)})) : real(url, ...rest); }})()"
    )


def test_a_hostile_answer_neither_runs_nor_fetches_anything(page: Page, service: Service) -> None:
    service.start()
    page.open(f"{service.root}/#/chat")
    page.until("a model", f"document.querySelector('#chat-model')?.value === '{CHAT_MODEL}'")
    answer_with(page, HOSTILE)
    page.eval("document.querySelector('fl-composer textarea').focus()")
    page.type(HOSTILE.replace("\n", " "))
    page.press("Enter")
    page.until("the formatted answer", "document.querySelector('.thread strong')?.textContent === 'bold'")
    page.eval("document.querySelectorAll('.thread details').forEach((one) => { one.open = true; })")
    shown = page.text(".thread")
    assert "<script>window.hacked=2</script>" in shown and "<img src=x" in shown
    tags = page.eval("[...new Set([...document.querySelectorAll('.thread *')].map((one) => one.localName))]")
    assert not {"script", "img", "iframe", "style", "form", "base", "object", "embed", "link"} & set(tags)
    links = page.eval(
        "[...document.querySelectorAll('.thread a')].map((one) => [one.protocol, one.rel, one.target])"
    )
    assert {link[0] for link in links} <= {"http:", "https:"}
    assert all(link[1:] == ["noopener noreferrer", "_blank"] for link in links)
    assert page.eval("window.hacked === undefined")
    assert not [url for url in page.requests if "evil.example" in url]


def test_a_hostile_name_is_text_on_every_screen(page: Page, home: Path, tmp_path: Path) -> None:
    name = "<img src=x onerror=window.hacked=1>"
    file = tmp_path / "<svg onload=window.hacked=2>.gguf"
    write_gguf(file, tiny_keys(general__name=name, general__license=name))
    store_tiny_model(home, CHAT_MODEL)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MODEL_FOLDERS=str(tmp_path)) as service:
        service.post("/config", {"aliases": {name: CHAT_MODEL}})
        service.start()
        for screen, words in (
            ("models?tab=other", "<svg onload"),
            ("settings?find=aliases", "aliases"),
            (f"models/{name.replace('<', '%3C').replace('>', '%3E').replace(' ', '%20')}", "<img src=x"),
            (f"logs?text={name}", "INFO"),
            ("connect", "Base URL"),
        ):
            page.open("about:blank")
            page.open(f"{service.root}/#/{screen}")
            page.shows(words, "main")
            assert page.eval("!document.querySelector('main img, main script, main svg:not(.icon, .chart)')")
        assert page.eval("window.hacked === undefined")
    assert {url.split("/")[2].partition(":")[0] for url in page.requests if url.startswith("http")} <= {
        "127.0.0.1"
    }


def test_the_page_refuses_html_from_strings(board: Page) -> None:
    refused = "(() => { try { document.body.innerHTML = '<p>'; return false; } catch { return true; } })()"
    assert board.eval(refused)
    board.faults.clear()
