"""What the engine's refusals become."""

from __future__ import annotations

import json

import pytest

from foundrylocal.errors import FoundryLocalError, ServerShuttingDown
from foundrylocal.gateway.dialects.body import Body
from foundrylocal.gateway.dialects.engine_errors import error_of
from foundrylocal.gateway.routes import error_dialect
from foundrylocal.web.errors import status_of
from tests.unit.gateway.dialects.all_routes import ROUTES

DIALECTS = {path: route.dialect for path, route in ROUTES.items()}
HELLO = {"messages": [{"role": "user", "content": "Hi"}]}


def parse(path: str, body: dict[str, object]) -> Body:
    parsed, _ = DIALECTS[path].prepare(json.dumps(body).encode())
    return parsed


CHAT = parse("/v1/chat/completions", HELLO)
TOO_LONG = {"type": "exceed_context_size_error", "message": "request", "n_prompt_tokens": 9031, "n_ctx": 8192}
ANTHROPIC = {
    *("invalid_request_error", "authentication_error", "permission_error", "not_found_error"),
    *("request_too_large", "rate_limit_error", "api_error", "overloaded_error", "timeout_error"),
}
BATCH = {
    "message": "input (20001 tokens) is too large to process. (current batch size: 8192)",
    "type": "server_error",
}


@pytest.mark.parametrize(
    ("status", "said", "wanted"),
    [
        (400, TOO_LONG, 400),
        (500, BATCH, 400),
        (501, {"message": "This server does not support embeddings.", "type": "not_supported_error"}, 400),
        (500, {"message": "image input is not supported - hint: mmproj", "type": "server_error"}, 400),
        (500, {"message": "vector::_M_range_check: __n (which is 9)", "type": "server_error"}, 400),
        (400, {"message": "Failed to parse grammar", "type": "invalid_request_error"}, 400),
        (500, {"message": "Compute error.", "type": "server_error"}, 500),
        (503, {"message": "Loading model", "type": "unavailable_error"}, 503),
    ],
)
def test_the_callers_fault_is_a_4xx(status: int, said: dict[str, object], wanted: int) -> None:
    error = error_of(status, json.dumps({"error": said}).encode(), CHAT)
    assert status_of(error) == wanted
    assert "vector" not in error.message


@pytest.mark.parametrize("kind", ["image", "audio", "video"])
@pytest.mark.parametrize("status", [400, 500, 501])
def test_what_a_model_cannot_see_or_hear_is_refused_in_words_about_it(kind: str, status: int) -> None:
    said = {"message": f"{kind} input is not supported - hint: you may need to provide the mmproj"}
    error = error_of(status, json.dumps({"error": said}).encode(), CHAT)
    assert (status_of(error), error.param) == (400, "messages")
    assert error.message == f"This model cannot take {kind} input"


@pytest.mark.parametrize("said", [TOO_LONG, BATCH])
def test_a_prompt_that_does_not_fit_has_both_counts_and_its_field(said: dict[str, object]) -> None:
    error = error_of(400, json.dumps({"error": said}).encode(), CHAT)
    assert (status_of(error), error.code, error.param) == (400, "context_length_exceeded", "messages")
    prompt = said.get("n_prompt_tokens", 20001)
    message = error_dialect("/v1/chat/completions", ROUTES).error_body(error)["error"]["message"]
    assert message.startswith(
        f"This model's maximum context length is 8192 tokens. However, your messages resulted in {prompt} tokens. "
    )
    assert "context_length_exceeded" in message and "larger context_size" in message
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        message = error_dialect(path, ROUTES).error_body(error)["error"]["message"]
        assert message.startswith(f"prompt is too long: {prompt} tokens > 8192 maximum. ")


def test_the_words_of_a_chat_template_are_whole() -> None:
    words = "Roles must alternate user/assistant/user. " * 20 + "END"
    text = f"Unable to generate parser for this template.\n-----\nWhile executing x\nError: Jinja Exception: {words}"
    said = {"message": text, "type": "invalid_request_error"}
    error = error_of(400, json.dumps({"error": said}).encode(), CHAT)
    message = error_dialect("/v1/chat/completions", ROUTES).error_body(error)["error"]["message"]
    assert message == f"The model's chat template refused the conversation. {words}."
    assert error.param == "messages"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"x"}', b'{"error":{}}'])
def test_an_answer_that_nobody_can_read_is_an_error_all_the_same(body: bytes) -> None:
    assert status_of(error_of(500, body, CHAT)) == 500


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {"response_format": {"type": "json_object"}}, "response_format"),
        ("/v1/chat/completions", {"grammar": 'root ::= "x"'}, "grammar"),
        ("/v1/chat/completions", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ("/v1/chat/completions", {}, "messages"),
        ("/v1/responses", {"input": "a", "text": {"format": {"type": "json_object"}}}, "text.format"),
        ("/v1/responses", {"input": "a"}, "input"),
    ],
)
def test_a_refusal_of_the_engine_names_what_the_request_holds(
    path: str, body: dict[str, object], param: str
) -> None:
    said = {
        "message": "Failed to initialize samplers: failed to parse grammar",
        "type": "invalid_request_error",
    }
    assert error_of(400, json.dumps({"error": said}).encode(), parse(path, {**HELLO, **body})).param == param


def test_every_error_of_the_gateway_has_a_param() -> None:
    for dialect in (error_dialect("/nowhere", ROUTES), *DIALECTS.values()):
        error = dialect.error_body(error_of(500, b"", CHAT))["error"]
        assert isinstance(error, str) or error["param"] is None  # Ollama's is a text


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"])
def test_anthropics_endpoints_know_anthropics_types_only(path: str) -> None:
    about = error_dialect(path, ROUTES).error_body(ServerShuttingDown())["error"]
    assert (about["type"], about["code"]) == ("overloaded_error", "server_shutting_down")
    for kind in _kinds(FoundryLocalError):
        error = kind.__new__(kind)
        FoundryLocalError.__init__(error, "x")
        error.__dict__ |= {"prompt_tokens": 9, "context_tokens": 8}
        assert error_dialect(path, ROUTES).error_body(error)["error"]["type"] in ANTHROPIC
        assert error_dialect("/v1/chat/completions", ROUTES).error_body(error)["error"]["type"] == kind.type


def _kinds(kind: type[FoundryLocalError]) -> list[type[FoundryLocalError]]:
    return [kind, *(inner for sub in kind.__subclasses__() for inner in _kinds(sub))]


def test_each_dialect_has_its_form() -> None:
    error = error_of(500, b"", CHAT)
    assert set(error_dialect("/", ROUTES).error_body(error)) == {"error"}
    assert error_dialect("/v1/messages", ROUTES).error_body(error)["type"] == "error"
    assert DIALECTS["/v1/chat/completions"].error_event(error).startswith(b'data: {"error":{')
    assert DIALECTS["/v1/messages"].error_event(error).startswith(b"event: error\ndata: ")
    assert b'"sequence_number"' in DIALECTS["/v1/responses"].error_event(error)
