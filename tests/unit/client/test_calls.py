"""Every endpoint of the management API has a call in both clients, and every call leads to an endpoint."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
import pytest
from scripts import sync_client
from starlette.routing import compile_path

from foundrylocal.api.app import ROUTERS
from foundrylocal.api.routes import pages
from foundrylocal.client import AsyncFoundryLocal, FoundryLocal

GROUPS = ("models", "presets", "downloads", "keys", "requests", "prompt_cache")
NOT_CALLS = ("close", "gateway", "settings", "url")


class Asked(Exception):
    """What a call was about to send."""


class Recorder:
    """A transport that says what it was given."""

    url = "http://recorder"

    def call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> bytes:
        raise Asked(method, path, body, timeout_s)

    def events(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> Generator[str, None, None]:
        raise Asked(method, path, body, timeout_s)
        yield ""

    def close(self) -> None:
        pass


class AsyncRecorder(Recorder):
    async def call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> bytes:  # type: ignore[override]
        raise Asked(method, path, body, timeout_s)

    async def events(  # type: ignore[override]
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> AsyncGenerator[str, None]:
        raise Asked(method, path, body, timeout_s)
        yield ""


def methods_of(client: object) -> dict[str, Any]:
    """The calls of a client and its groups, by name."""
    found = {}
    for group, owner in [("", client), *((f"{group}.", getattr(client, group)) for group in GROUPS)]:
        for name, method in inspect.getmembers(owner, callable):
            if not name.startswith("_") and name not in NOT_CALLS:
                found[group + name] = method
    return found


def arguments_of(method: Any) -> list[str]:
    """A text for each argument that has no default."""
    parameters = inspect.signature(method).parameters.values()
    return [
        f"org/{parameter.name}"
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]


def asked(method: Any) -> tuple[str, str]:
    with pytest.raises(Asked) as caught:
        answer = method(*arguments_of(method))
        if hasattr(answer, "__iter__"):
            list(answer)
    return caught.value.args[0], caught.value.args[1]


def asked_async(method: Any) -> tuple[str, str]:
    async def run() -> None:
        answer = method(*arguments_of(method))
        if inspect.isawaitable(answer):
            answer = await answer
        async for _ in answer:
            pass

    with pytest.raises(Asked) as caught:
        anyio.run(run)
    return caught.value.args[0], caught.value.args[1]


def endpoints() -> dict[str, tuple[str, Any]]:
    """Every endpoint that the API's description has, with the pattern of its path; more specific ones first."""
    return {
        f"{method} {route.path}": (method, compile_path(prefix + route.path)[0])
        for prefix, router in ROUTERS
        if router is not pages.router
        for route in router.routes
        for method in route.methods
    }


def endpoint_of(method: str, path: str) -> str | None:
    path = path.partition("?")[0]
    return next(
        (name for name, (verb, pattern) in endpoints().items() if verb == method and pattern.match(path)),
        None,
    )


def test_the_calls_are_the_endpoints() -> None:
    calls = {name: asked(method) for name, method in methods_of(FoundryLocal(transport=Recorder())).items()}
    reached = {name: endpoint_of(*sent) for name, sent in calls.items()}
    assert not [name for name, endpoint in reached.items() if endpoint is None]
    without_a_model = {"DELETE /prompt-cache/{model_name:path}"}  # the same call with a name
    missing = set(endpoints()) - set(reached.values()) - without_a_model
    assert not missing, "add a call to client/aio/ and run: python -m scripts.sync_client"


def test_both_clients_have_the_same_calls() -> None:
    synchronous = methods_of(FoundryLocal(transport=Recorder()))
    asynchronous = methods_of(AsyncFoundryLocal(transport=AsyncRecorder()))  # type: ignore[arg-type]
    assert synchronous.keys() == asynchronous.keys()
    for name, method in synchronous.items():
        assert asked(method) == asked_async(asynchronous[name]), name


def test_every_call_says_what_it_does() -> None:
    for name, method in methods_of(AsyncFoundryLocal(transport=AsyncRecorder())).items():  # type: ignore[arg-type]
        assert method.__doc__, name


def test_a_name_with_a_slash_is_one_segment() -> None:
    assert asked(FoundryLocal(transport=Recorder()).models.show) == (
        "GET",
        "/iblink/v1/foundry-local/models/org%2Fname",
    )


def test_the_synchronous_client_is_generated_from_the_asynchronous_one() -> None:
    on_disk = {path.name: path.read_text("utf-8") for path in sync_client.TARGET.glob("*.py")}
    assert on_disk == sync_client.render(), "run: python -m scripts.sync_client"
