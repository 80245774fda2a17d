"""A preset fills what a request does not say, in every dialect, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.catalog.presets import PresetStore, alias_key
from foundrylocal.gateway.flow.defaults import use_defaults
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.wire.presets import Preset
from tests.unit.gateway.dialects.all_routes import ROUTES

CHAT, TEXT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"
OLLAMA_CHAT, OLLAMA_TEXT = "/api/chat", "/api/generate"
HELLO = [{"role": "user", "content": "Hi"}]
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": HELLO},
    TEXT: {"prompt": "Hi"},
    RESPONSES: {"input": "Hi"},
    MESSAGES: {"messages": HELLO, "max_tokens": 7},
    OLLAMA_CHAT: {"model": "m", "messages": HELLO},
    OLLAMA_TEXT: {"model": "m", "prompt": "Hi"},
}
SAMPLING: dict[str, Any] = {
    "temperature": 0.25,
    "top_p": 0.5,
    "top_k": 3,
    "min_p": 0.125,
    "repeat_penalty": 1.5,
    "presence_penalty": 0.75,
    "frequency_penalty": -0.5,
    "seed": 42,
    "stop": ["END"],
}
# How each dialect spells what a request may say of these itself.
OWN: dict[str, dict[str, Any]] = {
    CHAT: {**SAMPLING, "temperature": 1.5, "seed": 7, "stop": ["MINE"], "max_tokens": 9},
    TEXT: {**SAMPLING, "temperature": 1.5, "seed": 7, "stop": "MINE", "max_tokens": 9},
    RESPONSES: {"temperature": 1.5, "seed": 7, "top_p": 0.9, "max_output_tokens": 9},
    MESSAGES: {"temperature": 0.9, "top_k": 9, "stop_sequences": ["MINE"]},
    OLLAMA_CHAT: {"options": {"temperature": 0.9, "seed": 7, "stop": ["MINE"], "num_predict": 9}},
    OLLAMA_TEXT: {"options": {"temperature": 0.9, "seed": 7, "stop": ["MINE"], "num_predict": 9}},
}


def preset(**values: Any) -> Preset:
    return Preset.model_validate(values)


def request_of(path: str, **fields: Any) -> InferenceRequest:
    body, engine = ROUTES[path].dialect.prepare(json.dumps(fields).encode())
    nobody: Any = None
    return InferenceRequest(ROUTES[path], body, engine, "", RequestStats(path, 0.0), nobody, nobody)


def use(request: InferenceRequest, values: Preset) -> dict[str, Any]:
    anyio.run(use_defaults, request, values)
    engine: dict[str, Any] = json.loads(request.engine.body)
    return engine


@pytest.mark.parametrize("path", BODIES)
def test_a_silent_request_gets_every_value(path: str) -> None:
    engine = use(request_of(path, **BODIES[path]), preset(**SAMPLING))
    assert {name: engine[name] for name in SAMPLING} == SAMPLING


@pytest.mark.parametrize("path", BODIES)
def test_what_a_request_says_is_not_changed(path: str) -> None:
    request = request_of(path, **BODIES[path], **OWN[path])
    before = json.loads(request.engine.body)
    engine = use(request, preset(**SAMPLING, max_tokens=5))
    assert {name: engine[name] for name in before} == before
    assert request.body.wanted_tokens == (7 if path == MESSAGES else 9)


@pytest.mark.parametrize("path", [CHAT, TEXT, RESPONSES, OLLAMA_CHAT, OLLAMA_TEXT])
def test_the_length_of_an_answer_is_what_admission_reserves(path: str) -> None:
    request = request_of(path, **BODIES[path])
    assert "max_tokens" not in use(request, preset(max_tokens=5))
    assert request.body.wanted_tokens == 5


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, OLLAMA_CHAT, OLLAMA_TEXT])
def test_a_conversation_without_a_system_message_gets_the_preset_s(path: str) -> None:
    engine = use(request_of(path, **BODIES[path]), preset(system_prompt='Be "brief".'))
    assert engine["messages"] == [{"role": "system", "content": 'Be "brief".'}, *HELLO]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"messages": [{"role": "system", "content": "Own."}, *HELLO]}),
        (CHAT, {"messages": [{"role": "developer", "content": "Own."}, *HELLO]}),
        (CHAT, {"messages": [*HELLO, {"role": "system", "content": "Own."}, *HELLO]}),
        (RESPONSES, {"input": "Hi", "instructions": "Own."}),
        (MESSAGES, {"messages": HELLO, "max_tokens": 7, "system": "Own."}),
        (OLLAMA_TEXT, {"model": "m", "prompt": "Hi", "system": "Own."}),
    ],
)
def test_a_system_message_of_the_request_stays_the_only_one(path: str, fields: dict[str, Any]) -> None:
    engine = use(request_of(path, **fields), preset(system_prompt="Be brief."))
    assert [one["content"] for one in engine["messages"] if one["role"] == "system"] == ["Own."]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/messages/count_tokens", {"messages": HELLO}),
        ("/v1/responses/input_tokens", {"input": "Hi"}),
        ("/apply-template", {"messages": HELLO}),
    ],
)
def test_what_a_prompt_consists_of_counts_where_tokens_are_counted(path: str, fields: dict[str, Any]) -> None:
    values = preset(system_prompt="Be brief.", chat_template_kwargs={"style": "dry"}, temperature=0.25)
    engine = use(request_of(path, **fields), values)
    assert engine["messages"][0] == {"role": "system", "content": "Be brief."}
    assert engine["chat_template_kwargs"] == {"style": "dry"}
    assert "temperature" not in engine


def test_arguments_of_the_template_are_merged_one_by_one() -> None:
    request = request_of(CHAT, messages=HELLO, chat_template_kwargs={"enable_thinking": True})
    engine = use(request, preset(chat_template_kwargs={"enable_thinking": False, "style": "dry"}))
    assert engine["chat_template_kwargs"] == {"enable_thinking": True, "style": "dry"}


def test_a_constrained_answer_is_not_cut_by_a_stop_text() -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    engine = use(request_of(CHAT, messages=HELLO, response_format=format_), preset(stop="}", temperature=0))
    assert "stop" not in engine
    assert engine["temperature"] == 0
    assert engine["chat_template_kwargs"]["enable_thinking"] is False


def test_tokens_can_still_be_named_when_a_stop_text_comes_with_the_preset() -> None:
    chat = use(request_of(CHAT, messages=HELLO, logprobs=True, top_logprobs=2), preset(stop="END"))
    text = use(request_of(TEXT, prompt="Hi", logprobs=1), preset(stop="END"))
    assert (chat["top_logprobs"], text["logprobs"]) == (20, 20)


@pytest.mark.parametrize(
    ("path", "fields"), [("/v1/embeddings", {"input": "a"}), ("/tokenize", {"content": "a"})]
)
def test_what_generates_nothing_is_left_alone(path: str, fields: dict[str, Any]) -> None:
    request = request_of(path, **fields)
    before = request.engine.body
    use(request, preset(**SAMPLING, system_prompt="Be brief."))
    assert request.engine.body == before


def test_load_options_alone_touch_no_request() -> None:
    request = request_of(CHAT, messages=HELLO)
    before = request.engine
    use(request, preset(context_size=4096, pinned=True))
    assert request.engine is before


def test_after_a_switch_the_values_of_the_first_model_are_gone() -> None:
    request = request_of(CHAT, messages=HELLO)
    use(request, preset(temperature=0.25, top_k=3, max_tokens=5, system_prompt="First."))
    engine = use(request, preset(temperature=0.5, system_prompt="Second."))
    assert engine["temperature"] == 0.5 and "top_k" not in engine
    assert engine["messages"][0]["content"] == "Second."
    assert request.body.wanted_tokens is None
    again = use(request, preset())
    assert again == json.loads(request_of(CHAT, messages=HELLO).engine.body)


def test_a_response_reports_the_preset_s_values_from_its_first_event_on() -> None:
    request = request_of(RESPONSES, input="Hi", stream=True)
    use(request, preset(temperature=0.25, max_tokens=5))
    created = request.route.dialect.stream(request.body, request.stats)(b'data: {"choices":[],"id":"x"}\n\n')
    first = json.loads(created.partition(b"data: ")[2].partition(b"\n")[0])
    assert first["response"]["temperature"] == 0.25
    assert first["response"]["max_output_tokens"] == 5


def test_a_large_conversation_gets_the_same() -> None:
    long = [{"role": "user", "content": "word " * 80_000}]
    engine = use(request_of(CHAT, messages=long), preset(system_prompt="Be brief.", seed=3))
    assert [one["role"] for one in engine["messages"]] == ["system", "user"]
    assert engine["seed"] == 3


def test_an_alias_with_a_preset_of_its_own_goes_before_the_model_s(tmp_path: Path) -> None:
    store = PresetStore(tmp_path)
    store.change("a/model", {"temperature": 0.5, "seed": 1})
    store.change(alias_key("Writer"), {"temperature": 0.9})
    assert store.for_request("writer", "a/model").saved() == {"temperature": 0.9, "seed": 1}
    for name in (None, "a/model", "other"):
        assert store.for_request(name, "a/model") == store.of("a/model")
