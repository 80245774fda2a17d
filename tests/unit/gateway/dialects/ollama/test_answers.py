"""What Ollama's clients get: lines of a stream, whole answers, errors; all of the types of the `ollama` package."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ollama import ChatResponse, EmbeddingsResponse, EmbedResponse, GenerateResponse

from foundrylocal.errors import (
    InternalError,
    InvalidRequest,
    ModelNotDownloaded,
    ModelNotFound,
    ToolsUnsupported,
)
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.web.errors import status_of
from tests.unit.gateway.dialects.all_routes import ROUTES
from tests.unit.gateway.dialects.by_chat import FRAME, USAGE, delta, ending

Json = dict[str, Any]
CHAT, GENERATE = "/api/chat", "/api/generate"
FIELDS: dict[str, Json] = {
    CHAT: {"messages": [{"role": "user", "content": "Hi"}]},
    GENERATE: {"prompt": "Hi"},
}
TIMINGS: Json = {"prompt_n": 5, "cache_n": 2, "prompt_ms": 10.0, "predicted_n": 4, "predicted_ms": 20.0}


def parsed(path: str, **fields: Any) -> Any:
    return ROUTES[path].dialect.prepare(json.dumps({"model": "m:1b", **fields}).encode())[0]


def stats() -> RequestStats:
    return RequestStats("/x", 0.0, model_id="org/m", load_s=0.5)


def lines(path: str, *chunks: Json, extra: bytes = b"", **fields: Any) -> list[Json]:
    """The lines that the chunks of an engine's stream become."""
    body = parsed(path, **{**FIELDS[path], **fields})
    rewrite = ROUTES[path].dialect.stream(body, stats())
    sent = b"".join(rewrite(b"data: " + json.dumps(chunk).encode() + b"\n\n") for chunk in chunks)
    sent += rewrite(extra) + rewrite(b"data: [DONE]\n\n")
    assert sent.endswith(b"\n") and b"\n\n" not in sent
    return [json.loads(line) for line in sent.splitlines()]


def whole(path: str, message: Json, reason: str = "stop", **fields: Any) -> Json:
    body = parsed(path, stream=False, **{**FIELDS[path], **fields})
    choice = {"index": 0, "finish_reason": reason, "message": message}
    raw = json.dumps(FRAME | {"choices": [choice], "usage": USAGE, "timings": TIMINGS}).encode()
    return dict(ROUTES[path].dialect.whole(raw, body, stats()))


def timed_ending(reason: str = "stop") -> list[Json]:
    last, usage = ending(reason)
    return [last | {"timings": TIMINGS}, usage]


def test_a_chat_is_lines_with_the_figures_at_the_end() -> None:
    first, second, last = lines(CHAT, delta(content="Hel"), delta(content="lo"), *timed_ending())
    for one in (first, second, last):
        ChatResponse.model_validate(one)
    assert (first["message"], first["done"]) == ({"role": "assistant", "content": "Hel"}, False)
    assert second["message"]["content"] == "lo" and "done_reason" not in first
    assert last["message"] == {"role": "assistant", "content": ""}
    assert (last["done"], last["done_reason"], last["model"]) == (True, "stop", "m:1b")
    figures = ("load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
    assert [last[name] for name in figures] == [500_000_000, 7, 10_000_000, 4, 20_000_000]
    assert last["total_duration"] > 0 and last["created_at"].endswith("Z")


def test_a_prompt_is_answered_as_response() -> None:
    first, last = lines(GENERATE, delta(content="Hello"), *timed_ending("length"))
    for one in (first, last):
        GenerateResponse.model_validate(one)
    assert (first["response"], last["response"], last["done_reason"]) == ("Hello", "", "length")
    assert "message" not in first
    answer = whole(GENERATE, {"content": "Hello", "reasoning_content": "Hm"})
    assert (answer["response"], answer["thinking"], answer["done"]) == ("Hello", "Hm", True)


def test_thoughts_come_under_their_own_name() -> None:
    first, second, _ = lines(CHAT, delta(reasoning_content="Hm"), delta(content="Yes"), *timed_ending())
    assert first["message"] == {"role": "assistant", "content": "", "thinking": "Hm"}
    assert "thinking" not in second["message"]


def call(index: int, arguments: str, **more: Any) -> Json:
    return delta(
        tool_calls=[{"index": index, "function": {"arguments": arguments, **more}, "id": "c" * index}]
    )


def test_calls_come_whole_with_their_arguments_as_an_object() -> None:
    found = lines(
        CHAT,
        call(0, '{"city":', name="weather"),
        call(0, '"Rome"}'),
        call(1, "", name="time"),
        *timed_ending("tool_calls"),
    )
    for one in found:
        ChatResponse.model_validate(one)
    calls = [one["message"]["tool_calls"][0]["function"] for one in found[:-1]]
    assert [(one["name"], one["arguments"]) for one in calls] == [("weather", {"city": "Rome"}), ("time", {})]
    assert found[-1]["done_reason"] == "stop"
    message = {
        "content": None,
        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"a":1}'}}],
    }
    assert whole(CHAT, message)["message"]["tool_calls"][0]["function"]["arguments"] == {"a": 1}


def test_a_call_that_was_cut_short_is_not_shown_as_one() -> None:
    found = lines(CHAT, call(0, '{"city":', name="weather"), *timed_ending("length"))
    assert [one["done_reason"] for one in found] == ["length"]


def test_comments_of_the_engine_are_no_lines() -> None:
    assert len(lines(CHAT, delta(content="Hi"), *timed_ending(), extra=b": keepalive\n\n")) == 2


def test_logprobs_only_when_they_are_wanted() -> None:
    token = {"id": 1, "token": "Hi", "bytes": [72, 105], "logprob": -0.5}
    chunk = delta(content="Hi")
    chunk["choices"][0]["logprobs"] = {"content": [token | {"top_logprobs": [token, token]}]}
    first, _ = lines(CHAT, chunk, *timed_ending(), logprobs=True, top_logprobs=1)
    shown = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}
    assert first["logprobs"] == [shown | {"top_logprobs": [shown]}]
    assert "logprobs" not in lines(CHAT, chunk, *timed_ending())[0]


def test_a_raw_prompt_streams_the_engines_own_pieces() -> None:
    body = parsed(GENERATE, prompt="Once", raw=True)
    rewrite = ROUTES[GENERATE].dialect.stream(body, stats())
    last = {"content": "", "stop": True, "stop_type": "limit", "tokens_evaluated": 3, "tokens_predicted": 2}
    events = [{"content": " upon", "stop": False}, last | {"timings": TIMINGS}]
    sent = b"".join(rewrite(b"data: " + json.dumps(one).encode() + b"\n\n") for one in events)
    first, end = (json.loads(line) for line in sent.splitlines())
    assert (first["response"], end["done_reason"]) == (" upon", "length")
    assert (end["prompt_eval_count"], end["eval_count"], end["eval_duration"]) == (3, 2, 20_000_000)
    answer = ROUTES[GENERATE].dialect.whole(json.dumps(last | {"content": "x"}).encode(), body, stats())
    assert (answer["response"], answer["done"]) == ("x", True)


def test_embeddings_in_the_order_of_their_texts() -> None:
    data = [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [0.6, 0.8]}]
    answer = json.dumps({"data": data, "usage": {"prompt_tokens": 5}}).encode()
    body = parsed("/api/embed", input=["a", "b"])
    found = ROUTES["/api/embed"].dialect.whole(answer, body, stats())
    EmbedResponse.model_validate(found)
    assert (found["embeddings"], found["prompt_eval_count"]) == ([[0.6, 0.8], [0.0, 1.0]], 5)
    short = ROUTES["/api/embed"].dialect.whole(
        answer, parsed("/api/embed", input=["a", "b"], dimensions=1), stats()
    )
    assert short["embeddings"] == [[1.0], [0.0]]
    single = ROUTES["/api/embeddings"].dialect.whole(answer, parsed("/api/embeddings", prompt="a"), stats())
    assert EmbeddingsResponse.model_validate(single).embedding == [0.6, 0.8]


@pytest.mark.parametrize(("keep_alive", "reason"), [(None, "load"), ("5m", "load"), (0, "unload")])
def test_loading_and_unloading_are_answered_with_their_reason(keep_alive: Any, reason: str) -> None:
    for path, kind in ((CHAT, ChatResponse), (GENERATE, GenerateResponse)):
        answer = ROUTES[path].dialect.idle_answer(parsed(path, keep_alive=keep_alive))
        kind.model_validate(answer)
        assert (answer["done"], answer["done_reason"]) == (True, reason)


def test_errors_are_one_text() -> None:
    dialect = ROUTES[CHAT].dialect
    body = parsed(CHAT)
    for error in (ModelNotFound("x"), ModelNotDownloaded()):
        found = dialect.own_error(error, body)
        assert status_of(found) == 404
        assert dialect.error_body(found) == {"error": "model 'm:1b' not found, try pulling it first"}
    near = dialect.own_error(ModelNotFound("x", ["llama3.2"]), body)
    assert dialect.error_body(near)["error"].endswith("Did you mean: llama3.2?")
    no_tools = dialect.own_error(ToolsUnsupported("x"), body)
    assert dialect.error_body(no_tools)["error"].startswith("m:1b does not support tools")
    text = dialect.error_body(InvalidRequest("It is wrong", "Mend it."))["error"]
    assert text == "It is wrong. Mend it."
    assert dialect.error_event(InternalError()).endswith(b'"}\n')
