"""What clients see of every error: the next step in its message, and whether a retry helps."""

from __future__ import annotations

import logging

import pytest

from foundrylocal import errors
from foundrylocal.errors import FoundryLocalError
from foundrylocal.gateway.dialects.engine_errors import EngineFailed
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.errors import client_error, client_headers, log_fault
from foundrylocal.gateway.routes import error_dialect
from foundrylocal.gateway.wrong_paths import hint_for
from tests.unit.gateway.dialects.all_routes import ROUTES

ALL: list[FoundryLocalError] = [
    errors.InvalidRequest("A is wrong", "Do B."),
    errors.ContextLengthExceeded(9, 8, "messages"),
    errors.InvalidJson("It is not UTF-8."),
    errors.RequestTooLarge(5),
    errors.InvalidApiKey(),
    errors.HostNotAllowed(),
    errors.OriginNotAllowed(),
    errors.ModelNotFound("x"),
    errors.ModelNotFound("x", ["xy"]),
    errors.ModelNotDownloaded(),
    errors.ModelInUse("x"),
    errors.ModelCorrupted("x", "Its header is damaged."),
    errors.ServerStartFailed("It has no tensors."),
    errors.OperationInProgress("switching"),
    errors.ModelUnloaded(),
    errors.WorkerCrashed("It was killed."),
    errors.ModelLoading("x"),
    errors.SystemExhausted("Too many open files"),
    errors.ServerShuttingDown(),
    errors.QueueFull(5, 3),
    errors.InsufficientMemory("5 GB", "2 GB"),
    errors.InternalError(),
    EngineFailed("Compute error."),
]


OBJECTS = [path for path in ROUTES if not path.startswith("/api/")]
"""The paths whose errors are objects; Ollama's are texts."""


@pytest.mark.parametrize("path", ["/", *OBJECTS])
@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_the_message_alone_says_what_to_do_next(error: FoundryLocalError, path: str) -> None:
    body = error_dialect(path, ROUTES).error_body(error)["error"]
    assert body["details"].rstrip(".") in body["message"]
    assert "GET /models" not in str(body)  # a path of the management API, not of this port


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_ollamas_text_says_what_to_do_next(error: FoundryLocalError) -> None:
    text = error_dialect("/api/chat", ROUTES).error_body(error)["error"]
    assert client_error(error)["details"].rstrip(".") in text and "GET /models" not in text


def test_a_field_is_named_once() -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        refuse("top_p", "is too large")
    assert client_error(caught.value)["message"] == "Invalid request: 'top_p' is too large"


@pytest.mark.parametrize(
    ("should_retry", "kinds"),
    [
        (
            b"true",
            {errors.ModelLoading, errors.SystemExhausted, errors.ServerShuttingDown, errors.QueueFull}
            | {errors.ModelUnloaded},
        ),
        (None, {errors.WorkerCrashed, errors.InternalError, EngineFailed}),
    ],
)
def test_whether_a_retry_helps(should_retry: bytes | None, kinds: set[type[FoundryLocalError]]) -> None:
    for error in ALL:
        header = dict(client_headers(error)).get(b"x-should-retry")
        assert (header == should_retry) is (type(error) in kinds), type(error)
    rest = [error for error in ALL if dict(client_headers(error)).get(b"x-should-retry") == b"false"]
    assert len(rest) > 10


@pytest.mark.parametrize("path", [*ROUTES, "/v1/models"])
def test_a_wrong_base_url_is_explained(path: str) -> None:
    assert "/v1 twice" in hint_for(f"/v1{path}" if path.startswith("/v1/") else "/v1/v1/x", ROUTES)
    if path.startswith("/v1/"):
        assert f"use {path}." in hint_for(path.removeprefix("/v1"), ROUTES)


@pytest.mark.parametrize("path", [*ROUTES, "/v1/models"])
def test_a_base_url_with_more_than_it_needs_is_explained(path: str) -> None:
    tail = path.removeprefix("/v1")
    for wrong in (
        f"{path}/",
        f"/{path}",
        f"/openai{path}",
        f"/api/v1{tail}",
        f"{path}{tail}",
        f"/v1//{tail}",
    ):
        assert f"more than {path}," in hint_for(wrong, ROUTES), wrong


def test_other_wrong_paths_name_the_right_ones() -> None:
    assert "management API" in hint_for("/iblink/v1/foundry-local/status", ROUTES)
    assert "/v1/chat/completions" in hint_for("/nowhere", ROUTES)


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/v1", "/v1/nowhere", "/v1/chat", "/infillx", "/v1/v1/messages"]
)
def test_an_error_on_an_unknown_path_is_openais(path: str) -> None:
    assert "type" not in error_dialect(path, ROUTES).error_body(errors.InternalError())


@pytest.mark.parametrize(
    "path", ["/v1/messages", "/v1/messages/", "/v1/messages/batches", "/v1/messages/count_tokens"]
)
def test_an_error_below_anthropics_paths_is_anthropics(path: str) -> None:
    assert error_dialect(path, ROUTES).error_body(errors.InternalError())["type"] == "error"


def test_a_fault_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    prompt = "-".join("abc")  # a traceback has the lines of code, and so the texts in them

    def broken_step() -> None:
        try:
            raise KeyError(prompt)
        except KeyError as error:
            raise LookupError(prompt) from error

    with pytest.raises(LookupError) as caught:
        broken_step()
    with caplog.at_level(logging.ERROR):
        log_fault(logging.getLogger("test"), "POST /v1/messages", caught.value)
    assert "Unexpected fault in POST /v1/messages: LookupError" in caplog.text
    assert "in broken_step" in caplog.text
    assert prompt not in caplog.text
