"""Both clients against a scripted service: answers in their shapes, streams, and the errors of the tree."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from foundrylocal.client import ApiError, AsyncFoundryLocal, FoundryLocal, errors
from foundrylocal.client.next_steps import NEXT_STEPS
from foundrylocal.errors import FoundryLocalError
from tests.fakes.management_api import MODEL, Script, scripted

KEY = "manage-me-please"
LIST = {"models": [MODEL | {"kind": "model"}], "total_count": 1}
PROGRESS = {
    "type": "progress",
    "message": "Downloaded: 5.0%",
    "progress": {"stage": "downloading", "percent": 5.0},
}
DONE = {
    "success": True,
    "message": "Model downloaded successfully",
    "model_name": "Tiny-GGUF",
    "actual_model_id": "org/Tiny-GGUF",
    "file_size_bytes": 7,
    "download_time_seconds": 1,
}
SUCCESS = {"type": "success", "message": "Download completed successfully", "data": DONE}


def refusal(code: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": "It did not work", "type": kind, "code": code, **more}}


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted(Script()) as found:
        yield found


Outcome = Callable[[], Any]


def both(
    script: Script,
    call: Callable[[FoundryLocal], Any],
    call_async: Callable[[AsyncFoundryLocal], Awaitable[Any]],
) -> list[Any]:
    """What each client returns or raises."""

    def run() -> Any:
        with FoundryLocal(script.url, management_key=KEY) as client:
            return call(client)

    async def run_async() -> Any:
        async with AsyncFoundryLocal(script.url, management_key=KEY) as client:
            return await call_async(client)

    return [outcome_of(run), outcome_of(lambda: anyio.run(run_async))]


def outcome_of(run: Outcome) -> Any:
    try:
        return run()
    except errors.ClientError as error:
        return error


def test_an_answer_has_its_shape_and_the_key_is_sent(script: Script) -> None:
    script.on("GET /models", LIST)
    for answer in both(script, lambda client: client.models.list(), lambda client: client.models.list()):
        assert [(one.simple_name, one.file_size_bytes) for one in answer.models] == [("Tiny-GGUF", 1048576)]
    assert {headers["authorization"] for headers in script.headers} == {f"Bearer {KEY}"}


def test_only_what_is_given_is_sent(script: Script) -> None:
    script.on("POST /plan", refusal("x", "y"))
    options = {"context_size": 4096}
    both(script, lambda client: client.plan("m", options=options), lambda client: client.plan("m", port=0))
    assert [body for _, body in script.calls] == [
        {"model_name": "m", "options": options},
        {"model_name": "m", "port": 0},
    ]


def test_an_operation_shows_its_progress_and_has_a_result(script: Script) -> None:
    script.on("POST /models/Tiny-GGUF/download-stream", [PROGRESS, PROGRESS, SUCCESS])

    def follow(client: FoundryLocal) -> Any:
        with client.models.download_stream("Tiny-GGUF") as download:
            seen = [event.progress.percent for event in download if event.progress]
            return seen, download.result().file_size_bytes, download.message

    async def follow_async(client: AsyncFoundryLocal) -> Any:
        async with client.models.download_stream("Tiny-GGUF") as download:
            seen = [event.progress.percent async for event in download if event.progress]
            return seen, (await download.result()).file_size_bytes, download.message

    assert both(script, follow, follow_async) == [([5.0, 5.0], 7, "Download completed successfully")] * 2


def test_the_result_alone_waits_for_the_end(script: Script) -> None:
    script.on("POST /models/Tiny-GGUF/download-stream", [PROGRESS, SUCCESS])

    async def result(client: AsyncFoundryLocal) -> Any:
        return await client.models.download_stream("Tiny-GGUF").result()

    for answer in both(script, lambda client: client.models.download_stream("Tiny-GGUF").result(), result):
        assert answer.actual_model_id == "org/Tiny-GGUF"


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (
            [PROGRESS, {"type": "error", "message": "m", **refusal("download_failed", "download_error")}],
            "DownloadError",
        ),
        ([PROGRESS], "ConnectionLost"),
        (["7"], "NotFoundryLocal"),
        ([{"type": "success", "message": "m", "data": {}}], "NotFoundryLocal"),
        ([{"type": "error", "message": "m"}], "NotFoundryLocal"),
    ],
)
def test_an_operation_that_fails_raises(script: Script, events: list[Any], kind: str) -> None:
    script.on("POST /models/Tiny-GGUF/download-stream", events)

    async def result(client: AsyncFoundryLocal) -> Any:
        return await client.models.download_stream("Tiny-GGUF").result()

    raised = both(script, lambda client: client.models.download_stream("Tiny-GGUF").result(), result)
    assert [type(error).__name__ for error in raised] == [kind, kind]


def test_logs_and_changes_are_iterators_and_unknown_changes_are_left_out(script: Script) -> None:
    line = {"timestamp": "2025-01-20T10:30:00Z", "level": "INFO", "message": "m", "source": "API"}
    script.on("GET /logs/stream", [line, line | {"message": "n"}])
    script.on("GET /events", [{"type": "loaded", "data": ["org/Tiny-GGUF"]}, {"type": "weather", "data": 1}])

    def follow(client: FoundryLocal) -> Any:
        return [one.message for one in client.follow_logs()], [one.data for one in client.events()]

    async def follow_async(client: AsyncFoundryLocal) -> Any:
        return [one.message async for one in client.follow_logs()], [
            one.data async for one in client.events()
        ]

    assert both(script, follow, follow_async) == [(["m", "n"], [["org/Tiny-GGUF"]])] * 2


def test_an_error_is_of_the_class_of_its_type_and_says_what_next(script: Script) -> None:
    found = refusal(
        "model_not_found", "not_found_error", details="Did you mean: Tiny-GGUF?", param="model_name"
    )
    script.on("POST /start", (404, found))
    for error in both(script, lambda client: client.start("x"), lambda client: client.start("x")):
        assert type(error) is errors.NotFoundError
        assert (error.status, error.type, error.code, error.param) == (
            404,
            "not_found_error",
            "model_not_found",
            "model_name",
        )
        assert (error.message, error.why) == ("It did not work", "Did you mean: Tiny-GGUF?")
        assert error.next_step == NEXT_STEPS["model_not_found"]
        assert str(error) == (
            "It did not work. Did you mean: Tiny-GGUF? Next: Take a name from models.list(), or from `details`."
        )


def test_a_type_of_a_newer_service_is_still_an_api_error(script: Script) -> None:
    script.on("GET /health", (418, refusal("teapot", "new_error", details="Use a cup.")))
    for error in both(script, lambda client: client.health(), lambda client: client.health()):
        assert type(error) is ApiError and error.next_step == "Use a cup."


@pytest.mark.parametrize("answer", [b"<html>", {"status": "ok"}, (404, b"no"), (500, {"error": "x"})])
def test_another_program_at_the_address_is_named(script: Script, answer: Any) -> None:
    script.on("GET /health", answer)
    for error in both(script, lambda client: client.health(), lambda client: client.health()):
        assert isinstance(error, errors.NotFoundryLocal), repr(error)
        assert script.url in error.message


def test_nothing_at_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for error in both(Script(url=url), lambda client: client.stop(), lambda client: client.stop()):
        assert isinstance(error, errors.Unreachable)
        assert "foundrylocal serve" in str(error)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://127.0.0.1:port", "http://127.0.0.1:70000"])
def test_an_address_that_cannot_be_one_is_refused_at_once(url: str) -> None:
    for kind in (FoundryLocal, AsyncFoundryLocal):
        with pytest.raises(errors.InvalidAddress):
            kind(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("127.0.0.1:9501", "http://127.0.0.1:9501"),
        ("http://[::1]:9500/iblink/v1/foundry-local/", "http://[::1]:9500"),
        ("https://host/prefix", "https://host:443/prefix"),
    ],
)
def test_an_address_is_taken_in_several_forms(url: str, shown: str) -> None:
    assert FoundryLocal(url).url == shown


def test_the_environment_says_where_the_service_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FoundryLocal().url == "http://127.0.0.1:9500"
    monkeypatch.setenv("FOUNDRYLOCAL_API_PORT", "9502")
    assert FoundryLocal().url == "http://127.0.0.1:9502"
    monkeypatch.setenv("FOUNDRYLOCAL_URL", "http://127.0.0.1:9503")
    assert FoundryLocal().url == "http://127.0.0.1:9503"


def test_settings_have_all_names(script: Script) -> None:
    answer = {"success": True, "message": "ok", "port": 1235, "cachedir": "/m", "default_log_level": "INFO"}
    script.on("POST /config", answer | {"context_size": "auto", "overridden": {"port": "FOUNDRYLOCAL_PORT"}})
    for settings in both(
        script, lambda client: client.settings(), lambda client: client.update_settings(port=1235)
    ):
        assert (settings.port, settings["port"], settings["context_size"]) == (1235, 1235, "auto")
        with pytest.raises(KeyError):
            settings["nothing"]
    assert [body for _, body in script.calls] == [{}, {"port": 1235}]


def kinds_below(kind: type[FoundryLocalError]) -> Iterator[type[FoundryLocalError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_below(below)


def test_every_published_type_has_a_class() -> None:
    import foundrylocal.api.app  # noqa: F401 - it imports every error there is

    types = {kind.type for kind in kinds_below(FoundryLocalError)}
    assert not [name for name in types if type(errors.error_of(refusal("c", name), 400)) is ApiError]


def test_every_next_step_is_for_a_published_code() -> None:
    import foundrylocal.api.app  # noqa: F401 - it imports every error there is

    assert NEXT_STEPS.keys() <= {kind.code for kind in kinds_below(FoundryLocalError)}
