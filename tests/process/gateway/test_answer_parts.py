"""More answers than slots, against an engine on a socket that plays one script for each request it gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from foundrylocal.engine.replica import Address
from foundrylocal.errors import FoundryLocalError, WorkerCrashed
from foundrylocal.gateway.flow.relay import relay
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.web.asgi import Receive, Scope, Send
from foundrylocal.web.listener import Listener, bind
from foundrylocal.web.peer import PEER_EXTENSION
from tests.unit.gateway.dialects.all_routes import ROUTES

pytestmark = pytest.mark.anyio
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "n": 5, "seed": 3}
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
TIMINGS = {"prompt_n": 4, "prompt_ms": 10.0, "predicted_n": 2, "predicted_ms": 1000.0}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


class Engine:
    """Answers with two slots. `faults` are what happens to the request of that number instead of an answer."""

    def __init__(self, faults: dict[int, str]) -> None:
        self.faults = faults
        self.bodies: list[dict[str, Any]] = []
        self.is_gone = asyncio.Event()
        self.server: asyncio.Server

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length: ")[2].split("\r\n")[0])
        body = json.loads(await reader.readexactly(size))
        fault = self.faults.get(len(self.bodies))
        self.bodies.append(body)
        if body.get("n", 1) > 2:
            fault = "400"
        if fault == "400":
            refusal = b'{"error":{"code":400,"message":"Refused.","type":"invalid_request_error"}}'
            head = f"HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: {len(refusal)}\r\n\r\n"
            writer.write(head.encode() + refusal)
        elif fault != "gone":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
            writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
            for one in self.events(body, fault):
                writer.write(b"%x\r\n%b\r\n" % (len(one), one))
            if fault not in ("breaks", "hangs"):
                writer.write(b"0\r\n\r\n")
            if fault == "hangs":
                await reader.read()  # until the gateway leaves
                self.is_gone.set()
        writer.close()

    def events(self, body: dict[str, Any], fault: str | None) -> Iterable[bytes]:
        is_chat, number = "messages" in body, len(self.bodies)
        frame = {"id": f"chatcmpl-{number}", "created": number, "model": "m"}
        frame["object"] = "chat.completion.chunk" if is_chat else "text_completion"
        if body["n"] > 1:
            yield b"data: null\n\n"
        prompts = 1 if is_chat else len(body["prompt"])
        for index in range(prompts * body["n"]):
            word = (
                f"{'' if is_chat else body['prompt'][index // body['n']]}{body['seed'] + index % body['n']}"
            )
            piece = {"delta": {"content": word}} if is_chat else {"text": word}
            yield event(frame | {"choices": [{"index": index, "finish_reason": None, **piece}]})
            if fault == "error":
                yield event({"error": {"code": 500, "message": "It broke.", "type": "server_error"}})
                return
            if fault in ("breaks", "hangs"):
                return
            end = {"index": index, "finish_reason": "stop", **({"delta": {}} if is_chat else {"text": ""})}
            last = {"usage": USAGE, "timings": TIMINGS}
            if is_chat:
                yield event(frame | {"choices": [end]})
                yield event(frame | {"choices": []} | last)
            else:
                yield event(frame | {"choices": [end]} | last)
        yield DONE


class Gateway:
    """An ASGI app that relays one request to the engine, and what became of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.stats = RequestStats("/x", anyio.current_time())
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        route, peer = ROUTES[scope["path"]], scope["extensions"][PEER_EXTENSION]["peer"]
        request = InferenceRequest(
            route, *route.dialect.prepare(message["body"]), "client", self.stats, send, peer, slots=2
        )
        address = Address(f"http://127.0.0.1:{self.engine.server.sockets[0].getsockname()[1]}", "", "1")
        with anyio.CancelScope() as while_there, peer.on_disconnect(while_there.cancel):
            try:
                await relay(address, request, _why_gone)
            except FoundryLocalError as error:
                self.failure = error
                await send({"type": "http.response.start", "status": 500, "headers": []})
                await send({"type": "http.response.body", "body": b""})


async def _why_gone(has_begun: bool) -> Exception:
    return WorkerCrashed("It is gone.")


@asynccontextmanager
async def gateway_with(
    faults: dict[int, str] | None = None,
) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    engine = Engine(faults or {})
    engine.server = await asyncio.start_server(engine.serve, "127.0.0.1", 0)
    app = Gateway(engine)
    listener = Listener(app, bind("127.0.0.1", 0))
    async with engine.server, anyio.create_task_group() as group:
        await group.start(listener.serve)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", trust_env=False) as client:
            yield app, client
        group.cancel_scope.cancel()


def chunks_of(text: str) -> list[dict[str, Any]]:
    events = text.strip().split("\n\n")
    assert events.count("data: [DONE]") == 1 and events[-1] == "data: [DONE]"
    return [json.loads(one.removeprefix("data: ")) for one in events[:-1]]


async def test_a_whole_chat_has_all_answers_and_one_count() -> None:
    async with gateway_with() as (app, client):
        answer = (await client.post(CHAT, json=HELLO)).json()
        assert [body["n"] for body in app.engine.bodies] == [2, 2, 1]
        assert [body["seed"] for body in app.engine.bodies] == [3, 5, 7]
    said = [(choice["index"], choice["message"]["content"]) for choice in answer["choices"]]
    assert said == [(0, "3"), (1, "4"), (2, "5"), (3, "6"), (4, "7")]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (4, 10)
    # Three parts of a second each, the answers of one part side by side.
    assert (app.stats.decode_s, app.stats.tokens_out) == (3.0, 10)


async def test_a_streamed_chat_reads_like_one_answer() -> None:
    async with gateway_with() as (app, client):
        chunks = chunks_of((await client.post(CHAT, json=HELLO | STREAMED)).text)
    assert {(chunk["id"], chunk["created"]) for chunk in chunks} == {("chatcmpl-1", 1)}
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    said = [(c["index"], c["delta"]["content"]) for c in choices if c["delta"].get("content")]
    assert said == [(0, "3"), (1, "4"), (2, "5"), (3, "6"), (4, "7")]
    assert [choice["index"] for choice in choices if choice["finish_reason"]] == [0, 1, 2, 3, 4]
    (usage,) = [chunk["usage"] for chunk in chunks if chunk["usage"]]
    assert chunks[-1]["usage"] == usage
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (4, 10)
    assert app.stats.decode_s == 3.0


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_answers_to_several_prompts_keep_their_numbers(is_streamed: bool) -> None:
    body: dict[str, Any] = {"prompt": ["a", "b"], "n": 3, "seed": 3} | (STREAMED if is_streamed else {})
    async with gateway_with() as (_, client):
        answer = await client.post(TEXT, json=body)
    chunks = chunks_of(answer.text) if is_streamed else [answer.json()]
    said = {c["index"]: c["text"] for chunk in chunks for c in chunk["choices"] if c["text"]}
    assert said == {0: "a3", 1: "a4", 2: "a5", 3: "b3", 4: "b4", 5: "b5"}
    (usage,) = [chunk["usage"] for chunk in chunks if chunk["usage"]]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (8, 12)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("400", "invalid_request"),
        ("error", "internal_error"),
        ("gone", "worker_crashed"),
        ("breaks", "worker_crashed"),
    ],
)
async def test_a_part_that_fails_is_the_end_with_its_reason(fault: str, code: str) -> None:
    for extra in ({}, STREAMED):
        async with gateway_with({1: fault}) as (app, client):
            answer = await client.post(CHAT, json=HELLO | extra)
            assert len(app.engine.bodies) == 2  # the third part is not asked for
        if extra:
            assert answer.status_code == 200 and "[DONE]" not in answer.text
            assert '"error"' in answer.text.strip().rpartition("\n\n")[2]
            assert app.stats.outcome == code
        else:
            assert isinstance(app.failure, FoundryLocalError)
            assert app.failure.code == code, app.failure.details


async def test_a_client_that_leaves_ends_the_part_and_the_rest() -> None:
    async with gateway_with({1: "hangs"}) as (app, client):
        async with client.stream("POST", CHAT, json=HELLO | STREAMED) as answer:
            async for line in answer.aiter_lines():
                if '"content":"5"' in line:
                    break
        with anyio.fail_after(20):
            await app.engine.is_gone.wait()
        assert len(app.engine.bodies) == 2


async def test_answers_up_to_the_slots_are_one_request() -> None:
    async with gateway_with() as (app, client):
        assert len((await client.post(CHAT, json=HELLO | {"n": 2})).json()["choices"]) == 2
        assert len(app.engine.bodies) == 1
