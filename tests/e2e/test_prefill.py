"""Prefill with the real engine: whole answers and streams agree, in every dialect, with templates that think too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.test_conformance import CHAT, post, stream
from tests.real_models import store_variant
from tests.running import CHAT_MODEL, Service, running

pytestmark = pytest.mark.model
THINKING_MODEL = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' and message.reasoning_content %}
{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}
{%- if message.content %}{{- message.content | trim }}{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"""
USER = {"role": "user", "content": "Say hello."}
BEGUN = ["Well, hello", " Well, hello ", ""]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("thinking-home")
    store_variant(home, THINKING_MODEL, {"tokenizer.chat_template": _TEMPLATE})
    with running(home) as found:
        found.start(THINKING_MODEL)
        yield found


@pytest.fixture
def plain(real_service: Service) -> Iterator[httpx.Client]:
    real_service.start(CHAT_MODEL)
    with real_service.gateway() as client:
        yield client


@pytest.fixture
def thinking(service: Service) -> Iterator[httpx.Client]:
    with service.gateway() as client:
        yield client


def compare(gateway: httpx.Client, begun: str) -> None:
    last = {"role": "assistant", "content": begun}
    body: dict[str, Any] = {"messages": [USER, last], "max_tokens": 4, "temperature": 0}
    message = post(gateway, CHAT, body)["choices"][0]["message"]
    deltas = [choice["delta"] for chunk in stream(gateway, CHAT, body) for choice in chunk["choices"]]
    for name in ("content", "reasoning_content"):
        assert (message.get(name) or "") == "".join(delta.get(name) or "" for delta in deltas)
    content = post(gateway, "/v1/messages", body)["content"]
    pieces = [event.get("delta", {}) for event in stream(gateway, "/v1/messages", body)]
    for name in ("text", "thinking"):
        assert "".join(block.get(name, "") for block in content) == "".join(
            one.get(name, "") for one in pieces
        )
    body = {"input": [USER, last], "max_output_tokens": 4, "temperature": 0}
    texts = _texts(post(gateway, "/v1/responses", body))
    events = stream(gateway, "/v1/responses", body)
    assert texts == _texts(events[-1]["response"])
    streamed = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    assert "".join(text for kind, text in texts if kind == "output_text") == streamed


def _texts(response: dict[str, Any]) -> list[tuple[str, str]]:
    return [(part["type"], part["text"]) for item in response["output"] for part in item.get("content") or ()]


@pytest.mark.parametrize("begun", BEGUN)
def test_whole_and_streamed_answers_agree(plain: httpx.Client, begun: str) -> None:
    compare(plain, begun)


@pytest.mark.parametrize("begun", BEGUN)
def test_whole_and_streamed_answers_agree_with_a_template_that_thinks(
    thinking: httpx.Client, begun: str
) -> None:
    compare(thinking, begun)
