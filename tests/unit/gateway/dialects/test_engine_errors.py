"""What the engine's refusals become."""

from __future__ import annotations

import json

import pytest

from foundrylocal.errors import FoundryLocalError, ServerShuttingDown
from foundrylocal.gateway.dialects.engine_errors import error_body, error_event, error_of
from foundrylocal.gateway.dialects.requests import prepare
from foundrylocal.gateway.routes import ROUTES, Dialect
from foundrylocal.web.errors import status_of

CHAT = prepare(ROUTES["/v1/chat/completions"], b'{"messages":[{"role":"user","content":"Hi"}]}')
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


@pytest.mark.parametrize("said", [TOO_LONG, BATCH])
def test_a_prompt_that_does_not_fit_has_both_counts_and_its_field(said: dict[str, object]) -> None:
    error = error_of(400, json.dumps({"error": said}).encode(), CHAT)
    assert "8192" in error.message and error.param == "messages"
    assert "context_length_exceeded" in str(error.details)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":"x"}', b'{"error":{}}'])
def test_an_answer_that_nobody_can_read_is_an_error_all_the_same(body: bytes) -> None:
    assert status_of(error_of(500, body)) == 500


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {"response_format": {"type": "json_object"}}, "response_format"),
        ("/v1/chat/completions", {"grammar": "root ::= x"}, "grammar"),
        ("/v1/chat/completions", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ("/v1/chat/completions", {}, "messages"),
        ("/v1/responses", {"input": "a", "text": {"format": {"type": "json_object"}}}, "text.format"),
        ("/v1/responses", {"input": "a"}, "input"),
    ],
)
def test_a_refusal_of_the_engine_names_what_the_request_holds(
    path: str, body: dict[str, object], param: str
) -> None:
    asked = prepare(
        ROUTES[path], json.dumps({"messages": [{"role": "user", "content": "a"}], **body}).encode()
    )
    said = {
        "message": "Failed to initialize samplers: failed to parse grammar",
        "type": "invalid_request_error",
    }
    assert error_of(400, json.dumps({"error": said}).encode(), asked).param == param


def test_every_error_of_the_gateway_has_a_param() -> None:
    for dialect in (None, *Dialect):
        assert error_body(error_of(500, b""), dialect)["error"]["param"] is None


def test_messages_know_anthropics_types_only() -> None:
    told = error_body(ServerShuttingDown(), Dialect.MESSAGES)["error"]
    assert (told["type"], told["code"]) == ("overloaded_error", "server_shutting_down")
    for kind in _kinds(FoundryLocalError):
        error = kind.__new__(kind)
        FoundryLocalError.__init__(error, "x")
        assert error_body(error, Dialect.MESSAGES)["error"]["type"] in ANTHROPIC
        assert error_body(error, Dialect.CHAT)["error"]["type"] == kind.type


def _kinds(kind: type[FoundryLocalError]) -> list[type[FoundryLocalError]]:
    return [kind, *(inner for sub in kind.__subclasses__() for inner in _kinds(sub))]


def test_each_dialect_has_its_form() -> None:
    error = error_of(500, b"")
    assert set(error_body(error, None)) == {"error"}
    assert error_body(error, Dialect.MESSAGES)["type"] == "error"
    assert error_event(error, Dialect.CHAT).startswith(b'data: {"error":{')
    assert error_event(error, Dialect.MESSAGES).startswith(b"event: error\ndata: ")
    assert b'"sequence_number"' in error_event(error, Dialect.RESPONSES)
