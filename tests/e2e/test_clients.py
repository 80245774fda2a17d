"""The real Python clients against the real model: chat, stream, cancelled stream, JSON schema, error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.process.gateway.raw import busy_slots
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

pytestmark = pytest.mark.model
NEEDS = "the extra `clients` is not installed"
QUESTION = "What is the capital of France?"
HELLO: list[Any] = [{"role": "user", "content": QUESTION}]
LONG: list[Any] = [{"role": "user", "content": "Write a very long story about the sea."}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "size": {"enum": ["small", "large"]}},
    "required": ["city", "size"],
    "additionalProperties": False,
}
TOO_LONG: list[Any] = [{"role": "user", "content": "word " * 9000}]


@pytest.fixture
def started(real_service: Service) -> dict[str, Any]:
    return real_service.start()


def is_free(service: Service) -> None:
    """A stream that its client gave up holds no slot."""
    eventually("the slot is free", lambda: busy_slots(service) == 0, 10.0)


def check_city(text: str) -> None:
    found = json.loads(text)
    assert found.keys() == {"city", "size"} and found["size"] in ("small", "large")


# --- openai ---------------------------------------------------------------------------------------------


@pytest.fixture
def client(started: dict[str, Any]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=started["endpoint"], api_key=started["api_key"], max_retries=0) as found:
        yield found


def test_openai_chats_and_streams_the_same(client: openai.OpenAI) -> None:
    options: dict[str, Any] = {"model": CHAT_MODEL, "messages": HELLO, "max_tokens": 16, "temperature": 0}
    whole = client.chat.completions.create(**options)
    text = whole.choices[0].message.content
    assert text and whole.usage and whole.usage.completion_tokens > 0
    chunks = list(
        client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_openai_cancels_a_stream(client: openai.OpenAI, real_service: Service) -> None:
    stream = client.chat.completions.create(model=CHAT_MODEL, messages=LONG, stream=True, max_tokens=4000)
    next(iter(stream))
    assert busy_slots(real_service) == 1
    stream.close()
    is_free(real_service)


def test_openai_gets_json_of_a_schema(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=HELLO,
        max_tokens=200,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "strict": True, "schema": SCHEMA},
        },
    )
    check_city(answer.choices[0].message.content or "")


def test_openai_responses(client: openai.OpenAI) -> None:
    answer = client.responses.create(model=CHAT_MODEL, input=QUESTION, max_output_tokens=16)
    assert answer.output_text
    with client.responses.stream(model=CHAT_MODEL, input=QUESTION, max_output_tokens=16) as stream:
        kinds = [event.type for event in stream]
    assert "response.output_text.delta" in kinds


def test_openai_goes_on_with_a_conversation(client: openai.OpenAI) -> None:
    turns: list[Any] = [
        {"role": "user", "content": "Is water wet?"},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "Why?"},
    ]
    first = client.responses.create(model=CHAT_MODEL, input=turns, max_output_tokens=8)
    turns += [*first.output, {"role": "user", "content": [{"type": "input_text", "text": "Go on."}]}]
    assert client.responses.create(model=CHAT_MODEL, input=turns, max_output_tokens=8).output_text


def test_openai_raises_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="context length") as caught:
        client.chat.completions.create(model=CHAT_MODEL, messages=TOO_LONG)
    assert caught.value.param == "messages"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model=CHAT_MODEL, messages=HELLO, temperature=9)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=HELLO)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="fl-wrong").models.list()
    with pytest.raises(openai.BadRequestError, match="embeddings"):
        client.embeddings.create(model=CHAT_MODEL, input="a")


def test_openai_lists_models(client: openai.OpenAI) -> None:
    assert any(CHAT_MODEL in model.id for model in client.models.list())
    assert CHAT_MODEL in client.models.retrieve(CHAT_MODEL).id


def test_openai_sees_the_end_of_a_worker_in_mid_stream(client: openai.OpenAI, real_service: Service) -> None:
    stream = client.chat.completions.create(model=CHAT_MODEL, messages=LONG, stream=True, max_tokens=4000)
    next(iter(stream))
    real_service.workers()[0].kill()
    with pytest.raises(openai.APIError, match="ended unexpectedly"):
        list(stream)


# --- anthropic ------------------------------------------------------------------------------------------


@pytest.fixture
def claude(started: dict[str, Any]) -> Iterator[Any]:
    anthropic = pytest.importorskip("anthropic", reason=NEEDS)
    base = started["endpoint"].removesuffix("/v1")
    with anthropic.Anthropic(base_url=base, api_key=started["api_key"], max_retries=0) as found:
        yield found


def test_anthropic_chats_and_streams_the_same(claude: Any) -> None:
    options: dict[str, Any] = {
        "model": CHAT_MODEL,
        "messages": HELLO,
        "max_tokens": 16,
        "extra_body": {"temperature": 0},
    }
    whole = claude.messages.create(**options)
    assert whole.content[0].text and whole.usage.output_tokens > 0
    with claude.messages.stream(**options) as stream:
        assert "".join(stream.text_stream) == whole.content[0].text
        assert stream.get_final_message().usage.output_tokens == whole.usage.output_tokens
    assert claude.messages.count_tokens(model=CHAT_MODEL, messages=HELLO).input_tokens > 5


def test_anthropic_cancels_a_stream(claude: Any, real_service: Service) -> None:
    with claude.messages.stream(model=CHAT_MODEL, messages=LONG, max_tokens=4000) as stream:
        next(iter(stream.text_stream))
        assert busy_slots(real_service) == 1
    is_free(real_service)


def test_anthropic_gets_json_of_a_schema(claude: Any) -> None:
    wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}
    options: dict[str, Any] = {
        "model": CHAT_MODEL,
        "messages": HELLO,
        "max_tokens": 200,
        "output_config": wanted,
    }
    check_city(claude.messages.create(**options).content[0].text)
    with claude.messages.stream(**options) as stream:
        check_city("".join(stream.text_stream))
        assert stream.get_final_message().usage.output_tokens > 5


def test_anthropic_raises_its_own_errors(claude: Any) -> None:
    import anthropic

    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        claude.messages.create(model=CHAT_MODEL, messages=TOO_LONG, max_tokens=8)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        claude.messages.create(model=CHAT_MODEL, messages=HELLO, max_tokens=0)
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="nobody", messages=HELLO, max_tokens=8)
    with pytest.raises(anthropic.AuthenticationError):
        claude.with_options(api_key="fl-wrong").messages.create(model="x", messages=HELLO, max_tokens=8)


# --- litellm --------------------------------------------------------------------------------------------


@pytest.fixture
def lite(started: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch one
    litellm = pytest.importorskip("litellm", reason=NEEDS)

    def complete(**options: Any) -> Any:
        return litellm.completion(
            model=f"openai/{CHAT_MODEL}", api_base=started["endpoint"], api_key=started["api_key"], **options
        )

    return complete


def test_litellm_chats_and_streams_the_same(lite: Any) -> None:
    whole = lite(messages=HELLO, max_tokens=16, temperature=0)
    text = whole.choices[0].message.content
    chunks = list(lite(messages=HELLO, max_tokens=16, temperature=0, stream=True))
    assert text and "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text


def test_litellm_cancels_a_stream(lite: Any, real_service: Service) -> None:
    stream = lite(messages=LONG, max_tokens=4000, stream=True)
    next(iter(stream))
    assert busy_slots(real_service) == 1
    stream.completion_stream.close()
    is_free(real_service)


def test_litellm_gets_json_of_a_schema(lite: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
    check_city(lite(messages=HELLO, max_tokens=200, response_format=wanted).choices[0].message.content)


def test_litellm_knows_our_errors(lite: Any) -> None:
    import litellm

    with pytest.raises(litellm.ContextWindowExceededError):
        lite(messages=TOO_LONG)
    with pytest.raises(litellm.BadRequestError):
        lite(messages=HELLO, temperature=9)


# --- langchain ------------------------------------------------------------------------------------------


@pytest.fixture
def chain(started: dict[str, Any]) -> Any:
    langchain = pytest.importorskip("langchain_openai", reason=NEEDS)
    return langchain.ChatOpenAI(
        model=CHAT_MODEL,
        base_url=started["endpoint"],
        api_key=started["api_key"],
        temperature=0,
        max_tokens=200,
        max_retries=0,
    )


def test_langchain_chats_and_streams_the_same(chain: Any) -> None:
    text = chain.invoke(QUESTION).content
    assert text and "".join(chunk.content for chunk in chain.stream(QUESTION)) == text


def test_langchain_cancels_a_stream(chain: Any, real_service: Service) -> None:
    stream = chain.stream("Write a very long story about the sea.", max_tokens=4000)
    next(stream)
    assert busy_slots(real_service) == 1
    stream.close()
    is_free(real_service)


def test_langchain_gets_json_of_a_schema(chain: Any) -> None:
    schema = SCHEMA | {"title": "City", "description": "A city."}
    found = chain.with_structured_output(schema, method="json_schema").invoke(QUESTION)
    check_city(json.dumps(found))


def test_langchain_raises_openais_errors(chain: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="context length"):
        chain.invoke("word " * 9000)


# --- embeddings -----------------------------------------------------------------------------------------

EMBEDDING_MODEL = "nomic-embed-text"


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openai_embeddings(home: Path, encoding: Any) -> None:
    name = _embedding_model()
    store_tiny_model(home, name)
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        started = service.start(name)
        client = openai.OpenAI(base_url=started["endpoint"], api_key=started["api_key"], max_retries=0)
        answer = client.embeddings.create(model=name, input=["one", "two"], encoding_format=encoding)
        assert [one.index for one in answer.data] == [0, 1]
        with pytest.raises(openai.BadRequestError, match="cannot generate text"):
            client.chat.completions.create(model=name, messages=HELLO)


def _embedding_model() -> str:
    from foundrylocal.catalog.registry import Registry

    return next(model.simple_name for model in Registry.load().all() if "embedding" in model.capabilities)
