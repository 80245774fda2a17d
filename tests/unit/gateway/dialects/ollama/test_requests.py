"""What the engine gets of Ollama's requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.errors import InvalidRequest
from tests.unit.gateway.dialects.all_routes import ROUTES

Json = dict[str, Any]
CHAT, GENERATE, EMBED, EMBEDDINGS = "/api/chat", "/api/generate", "/api/embed", "/api/embeddings"
HELLO: list[Json] = [{"role": "user", "content": "Hi"}]
PNG = "iVBORw0KGgo="


def prepare(path: str, **fields: Any) -> tuple[Any, Any]:
    return ROUTES[path].dialect.prepare(json.dumps({"model": "m", **fields}).encode())


def engine(path: str, **fields: Any) -> Json:
    return dict(json.loads(prepare(path, **fields)[1].body))


def refused(path: str, **fields: Any) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        prepare(path, **fields)
    return caught.value.param


def test_a_request_is_a_stream_unless_it_says_otherwise() -> None:
    assert prepare(CHAT, messages=HELLO)[0].is_stream
    assert engine(CHAT, messages=HELLO)["stream"] is True
    assert not prepare(CHAT, messages=HELLO, stream=False)[0].is_stream
    assert engine(GENERATE, prompt="Hi", stream=False).get("stream") in (None, False)


def test_options_reach_the_engine_under_its_names() -> None:
    options = {
        "num_predict": 7,
        "temperature": 0.5,
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0.1,
        "repeat_penalty": 1.2,
        "repeat_last_n": 33,
        "presence_penalty": 1.5,
        "seed": 42,
        "stop": ["\n", "user:"],
    }
    ignored = {"num_keep": 5, "numa": False, "main_gpu": None, "no_such": "x"}
    sent = engine(CHAT, messages=HELLO, options=options | ignored)
    assert {name: sent.get(name) for name in options if name != "num_predict"} == {
        name: value for name, value in options.items() if name != "num_predict"
    }
    assert sent["max_tokens"] == 7 and not ignored.keys() & sent.keys()


@pytest.mark.parametrize("given", [-1, -2, 0])
def test_an_unlimited_answer_has_no_limit(given: int) -> None:
    body, _ = prepare(CHAT, messages=HELLO, options={"num_predict": given, "seed": -1, "repeat_last_n": -1})
    assert body.wanted_tokens is None
    sent = engine(CHAT, messages=HELLO, options={"num_predict": given, "seed": -1, "repeat_last_n": -1})
    assert not {"max_tokens", "seed", "repeat_last_n"} & sent.keys()


def test_a_preset_limits_an_answer_that_the_request_does_not() -> None:
    silent, _ = prepare(CHAT, messages=HELLO)
    unlimited, _ = prepare(CHAT, messages=HELLO, options={"num_predict": -1})
    silent.max_tokens = unlimited.max_tokens = 5
    assert (silent.wanted_tokens, unlimited.wanted_tokens) == (5, None)


def test_the_context_and_the_keep_alive_are_the_requests() -> None:
    body, _ = prepare(CHAT, messages=HELLO, options={"num_ctx": 4096.0}, keep_alive="5m")
    assert (body.wanted_context, body.keep_alive_s) == (4096, 300.0)
    body, _ = prepare(CHAT, messages=HELLO, keep_alive=None, options=None, tools=None, format=None)
    assert (body.wanted_context, body.keep_alive_s) == (None, None)


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (CHAT, {"messages": HELLO, "keep_alive": "soon"}, "keep_alive"),
        (CHAT, {"messages": HELLO, "options": {"temperature": "hot"}}, "options.temperature"),
        (CHAT, {"messages": HELLO, "options": {"num_ctx": 0}}, "options.num_ctx"),
        (CHAT, {"messages": HELLO, "format": "yaml"}, "format"),
        (CHAT, {"messages": [{"role": "user", "images": ["http://x/y.png"]}]}, "messages[0].images[0]"),
        (GENERATE, {"prompt": "Hi", "template": "{{ .Prompt }}"}, "template"),
        (GENERATE, {"prompt": "Hi", "context": [1, 2]}, "context"),
        (GENERATE, {"prompt": "Hi", "raw": True, "images": [PNG]}, "images"),
        (EMBED, {"input": ["a", ""]}, "input"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(path: str, fields: Json, param: str) -> None:
    assert refused(path, **fields) == param


def test_a_model_is_required() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ROUTES[CHAT].dialect.prepare(b'{"messages": []}')
    assert caught.value.param == "model"


def test_a_format_is_enforced() -> None:
    assert "grammar" in engine(CHAT, messages=HELLO, format="json")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert "grammar" in engine(GENERATE, prompt="Hi", format=schema)
    assert "grammar" in engine(GENERATE, prompt="Hi", raw=True, format=schema)
    assert "grammar" not in engine(CHAT, messages=HELLO, format="")
    assert refused(CHAT, messages=HELLO, format={"not": {}}).startswith("format")  # type: ignore[union-attr]


def test_thinking_is_turned_on_and_off() -> None:
    def kwargs(**fields: Any) -> Json:
        return dict(engine(CHAT, messages=HELLO, **fields).get("chat_template_kwargs") or {})

    assert kwargs() == {} == kwargs(think=None)
    assert kwargs(think=True) == {"enable_thinking": True}
    assert kwargs(think=False) == {"enable_thinking": False}
    assert kwargs(think="high") == {"enable_thinking": True, "reasoning_effort": "high"}


def test_results_of_tools_find_their_calls() -> None:
    calls = [
        {"function": {"name": name, "arguments": {"city": city}}}
        for name, city in (("weather", "Rome"), ("time", "Oslo"), ("weather", "Bern"))
    ]
    sent = engine(
        CHAT,
        messages=[
            *HELLO,
            {"role": "assistant", "tool_calls": calls},
            {"role": "tool", "content": "10:00", "tool_name": "time"},
            {"role": "tool", "content": "sunny"},
            {"role": "tool", "content": "rain"},
        ],
    )["messages"]
    ids = [call["id"] for call in sent[1]["tool_calls"]]
    assert len(set(ids)) == 3 and json.loads(sent[1]["tool_calls"][0]["function"]["arguments"]) == {
        "city": "Rome"
    }
    assert [(one["content"], one["tool_call_id"]) for one in sent[2:]] == [
        ("10:00", ids[1]),
        ("sunny", ids[0]),
        ("rain", ids[2]),
    ]


def test_a_result_without_a_call_keeps_its_own_name() -> None:
    sent = engine(CHAT, messages=[*HELLO, {"role": "tool", "content": "x", "tool_call_id": "c7"}])
    assert sent["messages"][-1]["tool_call_id"] == "c7"


def test_messages_of_one_role_are_one_and_late_system_messages_are_the_users() -> None:
    turns = [("system", "a"), ("system", "b"), ("user", "c"), ("system", "d"), ("assistant", "e")]
    sent = engine(CHAT, messages=[{"role": role, "content": text} for role, text in turns])["messages"]
    assert [(one["role"], one["content"]) for one in sent] == [
        ("system", "a\n\nb"),
        ("user", "c\n\nd"),
        ("assistant", "e"),
    ]


def test_images_are_typed_by_their_first_bytes() -> None:
    turn = {
        "role": "user",
        "content": "What?",
        "images": [PNG, "/9j/4AAQ", "data:image/webp;base64,UklGRg=="],
    }
    parts = engine(CHAT, messages=[turn])["messages"][0]["content"]
    urls = [part["image_url"]["url"] for part in parts[1:]]
    assert [url.partition(";")[0] for url in urls] == [
        "data:image/png",
        "data:image/jpeg",
        "data:image/webp",
    ]
    body, _ = prepare(GENERATE, prompt="What?", images=[PNG])
    assert body.has_images


def test_prompts_have_a_path_of_their_own() -> None:
    assert prepare(GENERATE, prompt="Hi", system="Be brief")[1].path == "/v1/chat/completions"
    _, raw = prepare(GENERATE, prompt="Hi", raw=True, options={"num_predict": 3})
    assert (raw.path, json.loads(raw.body)["prompt"]) == ("/completion", "Hi")
    _, infill = prepare(GENERATE, prompt="def f(", suffix="return 1")
    sent = json.loads(infill.body)
    assert (infill.path, sent["input_prefix"], sent["input_suffix"]) == ("/infill", "def f(", "return 1")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {}),
        (CHAT, {"messages": []}),
        (GENERATE, {}),
        (GENERATE, {"prompt": ""}),
        (EMBED, {"input": []}),
        (EMBED, {"input": ""}),
        (EMBEDDINGS, {"prompt": ""}),
    ],
)
def test_nothing_to_answer_only_loads_the_model(path: str, fields: Json) -> None:
    assert prepare(path, **fields)[1].is_load_only
