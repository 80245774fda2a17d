"""Ollama's API with the real engine, by the `ollama` package: text, tools, images, schemas, embeddings, infill.

No model with these abilities is small enough to be fetched by a test, so variants of the starter model serve: one
with a template that has a place for tools, one with a projector, one that computes embeddings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import ollama
import pytest
from ollama import Options

from tests.contract.test_ollama import port_url
from tests.e2e.test_tools import PARAMETERS, TEMPLATE
from tests.e2e.test_vision import png, write_projector
from tests.real_models import copy_into, store_variant
from tests.running import CHAT_MODEL_ID, Service, running

pytestmark = pytest.mark.model
CHAT = "smollm2:135m"
TOOLS, TOOLS_FILE = "qwen2.5:0.5b-instruct-q8_0", "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
VISION, VISION_FILE = "SmolVLM-500M-Instruct-Q8_0-GGUF:latest", "SmolVLM-500M-Instruct-Q8_0-GGUF"
EMBED, EMBED_FILE = "nomic-embed-text:v1.5-q8_0", "nomic-embed-text-v1.5-Q8_0-GGUF"
_MEAN = 1
HELLO = [{"role": "user", "content": "What is the capital of France?"}]
SHORT = Options(num_predict=8, temperature=0)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "size": {"enum": ["small", "large"]}},
    "required": ["city", "size"],
    "additionalProperties": False,
}
LOOK = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": PARAMETERS},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("ollama-home")
    copy_into(home / "cache", CHAT_MODEL_ID)
    store_variant(home, TOOLS_FILE, {"tokenizer.chat_template": TEMPLATE})
    store_variant(home, VISION_FILE, {}, write_projector)
    store_variant(home, EMBED_FILE, {"llama.pooling_type": _MEAN})
    settings = {"FOUNDRYLOCAL_OLLAMA_PORT": "0", "FOUNDRYLOCAL_CONTEXT_SIZE": "2048"}
    with running(home, FOUNDRYLOCAL_THREADS="1", **settings) as found:
        found.start()
        yield found


@pytest.fixture(scope="module", params=["own port", "gateway"])
def client(service: Service, request: pytest.FixtureRequest) -> ollama.Client:
    if request.param == "own port":
        return ollama.Client(host=port_url(service))
    health = service.status()["health"]
    headers = {"Authorization": f"Bearer {health['api_key']}"}
    return ollama.Client(host=health["endpoint"].removesuffix("/v1"), headers=headers)


def test_a_chat_is_the_same_whole_and_streamed(client: ollama.Client) -> None:
    whole = client.chat(CHAT, HELLO, options=SHORT)
    parts = list(client.chat(CHAT, HELLO, options=SHORT, stream=True))
    assert whole.message.content == "".join(part.message.content or "" for part in parts)
    assert (whole.done_reason, whole.eval_count, parts[-1].eval_count) == ("length", 8, 8)
    assert (whole.prompt_eval_count or 0) > 10 and (whole.eval_duration or 0) > 0


def test_prompts_raw_and_with_the_template(client: ollama.Client) -> None:
    whole = client.generate(CHAT, "Count: 1, 2, 3,", options=SHORT)
    assert whole.response and whole.eval_count == 8
    raw = client.generate(CHAT, "Count: 1, 2, 3,", raw=True, options=SHORT)
    parts = list(client.generate(CHAT, "Count: 1, 2, 3,", raw=True, options=SHORT, stream=True))
    assert raw.response and "".join(part.response or "" for part in parts) == raw.response
    assert (raw.prompt_eval_count or 99) < (whole.prompt_eval_count or 0)
    with pytest.raises(ollama.ResponseError, match="Infill is not supported by this model"):
        client.generate(CHAT, "def f(", suffix="return 1")


def test_a_format_is_kept(client: ollama.Client) -> None:
    for answer in (
        client.chat(CHAT, HELLO, format=SCHEMA).message.content,
        client.generate(CHAT, "A city.", format=SCHEMA).response,
        client.generate(CHAT, "A city:", format=SCHEMA, raw=True).response,
        "".join(part.message.content or "" for part in client.chat(CHAT, HELLO, format=SCHEMA, stream=True)),
    ):
        assert json.loads(answer or "").keys() == {"city", "size"}


def test_a_model_calls_tools_and_reads_their_results(client: ollama.Client) -> None:
    call = {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "look", "arguments": {"size": "large"}}}],
    }
    turns = [{"role": "user", "content": "Look, large."}, call, {"role": "tool", "content": "Seen."}]
    messages = [*turns, *turns, turns[0]]
    whole = client.chat(TOOLS, messages, tools=[LOOK], options=Options(num_predict=60, temperature=0))
    (called,) = whole.message.tool_calls or ()
    assert (called.function.name, called.function.arguments) == ("look", {"size": "large"})
    streamed = client.chat(
        TOOLS, messages, tools=[LOOK], options=Options(num_predict=60, temperature=0), stream=True
    )
    calls = [one for part in streamed for one in part.message.tool_calls or ()]
    assert [one.function.arguments for one in calls] == [{"size": "large"}]
    assert "tools" in (client.show(TOOLS).capabilities or ())
    with pytest.raises(ollama.ResponseError, match="does not support tools"):
        client.chat(CHAT, HELLO, tools=[LOOK])


def test_images_reach_a_model_that_sees(client: ollama.Client) -> None:
    message = {"role": "user", "content": "What is this?", "images": [png()]}
    plain = client.chat(VISION, [{"role": "user", "content": "What is this?"}], options=SHORT)
    seen = client.chat(VISION, [message], options=SHORT)
    assert (seen.prompt_eval_count or 0) - (plain.prompt_eval_count or 0) >= 4
    assert client.generate(VISION, "What is this?", images=[png()], options=SHORT).eval_count
    assert "vision" in (client.show(VISION).capabilities or ())
    with pytest.raises(ollama.ResponseError, match="cannot take images"):
        client.chat(CHAT, [message])


def test_texts_are_embedded_and_long_ones_are_cut(client: ollama.Client) -> None:
    two = client.embed(EMBED, ["The sea is blue.", "import os"])
    assert len(two.embeddings) == 2 and math.hypot(*two.embeddings[0]) == pytest.approx(1.0, abs=1e-3)
    short = client.embed(EMBED, "The sea is blue.", dimensions=16).embeddings[0]
    assert len(short) == 16 and math.hypot(*short) == pytest.approx(1.0, abs=1e-3)
    long = "word " * 3000
    assert len(client.embed(EMBED, ["a", long]).embeddings) == 2
    with pytest.raises(ollama.ResponseError, match="maximum context length"):
        client.embed(EMBED, long, truncate=False)
    assert len(client.embeddings(EMBED, "The sea is blue.").embedding) == len(two.embeddings[0])


def test_an_answer_that_is_given_up_ends_at_once(client: ollama.Client, service: Service) -> None:
    stream = client.chat(CHAT, [{"role": "user", "content": "Write a long story."}], stream=True)
    next(iter(stream))
    stream.close()  # type: ignore[attr-defined]
    assert client.chat(CHAT, HELLO, options=SHORT).done
