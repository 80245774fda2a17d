"""How the service talks to a worker: one HTTP exchange over a connection of its own, UNIX socket or loopback.

Invariant: no connection is used twice. The engine closes idle ones by its own clock, which would look like a
crash to the next request, and until then each holds one of its threads.

On httptools and not on a client library: every token passes here while the engine uses all cores, so that each
layer of code on its way is fetched from memory anew and the engine waits for it (docs/decisions/0016).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import urlsplit

import anyio
import httptools
import msgspec

from foundrylocal.engine.keepalive import keep_watch
from foundrylocal.engine.replica import Address
from foundrylocal.kit.exhaustion import CONNECT_SHORTAGES

CONNECT_TIMEOUT_S = 5.0
_UNIX = "unix://"


class WorkerUnreachable(Exception):
    """The connection to the worker failed, so nothing was sent; `reason` is the system's error text."""

    def __init__(self, error: Exception) -> None:
        self.errno = error.errno if isinstance(error, OSError) else None
        self.reason = (os.strerror(self.errno) if self.errno else str(error)) or "connecting took too long"
        super().__init__(self.reason)

    @property
    def is_own_shortage(self) -> bool:
        """Whether the service itself was out of resources, which says nothing about the worker."""
        return self.errno in CONNECT_SHORTAGES


class AnswerBroken(Exception):
    """The connection was closed before the answer was complete, or the answer is not HTTP."""


class Answer(asyncio.Protocol):
    """A worker's answer to one request; `status` and `content_type` are known after `head`.

    Its body is read once: in blocks as they arrive, as a whole, or passed to a function.
    """

    def __init__(self) -> None:
        self.status = 0
        self.content_type = ""
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._take: Callable[[bytes], None] | None = None
        self._has_head = False
        # Without a length or chunks the body goes on until the connection ends.
        self._has_end = False
        self._is_whole = False
        self._fault: Exception | None = None
        self._news: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport

    # --- for the caller ---------------------------------------------------------------------------

    def send(self, request: bytes) -> None:
        """Send the whole request, once."""
        self._transport.write(request)

    async def head(self) -> None:
        """Wait for the status line and the headers. Raises AnswerBroken."""
        while not self._has_head:
            await self._wait()

    async def block(self) -> bytes:
        """The bytes of the body received so far, at least one; empty at its end. Raises AnswerBroken."""
        while not self._parts and not self._is_whole:
            await self._wait()
        return self._taken()

    async def read(self) -> bytes:
        """All of the body. Raises AnswerBroken."""
        while not self._is_whole:
            await self._wait()
        return self._taken()

    async def pour(self, take: Callable[[bytes], None]) -> None:
        """Pass the body to `take` in blocks as they arrive. Raises AnswerBroken, and what `take` raises."""
        if self._parts:
            take(self._taken())
        self._take = take
        try:
            while not self._is_whole:
                await self._wait()
        finally:
            self._take = None
        if self._fault is not None:  # of `take`, with the last block
            raise self._fault

    def pause(self) -> None:
        """Stop reading from the worker for now; its bytes wait in the system's buffers."""
        self._transport.pause_reading()

    def resume(self) -> None:
        """Continue reading after a pause."""
        self._transport.resume_reading()

    def abort(self) -> None:
        """Close the connection at once; an engine that is still working on the request stops."""
        self._transport.abort()

    async def _wait(self) -> None:
        if self._fault is not None:
            raise self._fault
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # --- called by the transport ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        fault: Exception | None = None
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            fault = None if self._is_whole else AnswerBroken(f"no HTTP: {error}")
        take, parts = self._take, self._parts
        if take is not None and parts:
            try:
                take(parts.pop() if len(parts) == 1 else self._taken())
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                fault = error
        if fault is not None:
            self._break(fault)
        elif take is None or self._is_whole:
            self._tell()

    def connection_lost(self, error: Exception | None) -> None:
        if self._has_head and not self._has_end and error is None:
            self._is_whole = True
        if not self._is_whole and self._fault is None:
            self._fault = AnswerBroken(str(error or "the connection was closed"))
        self._tell()
        del self._parser  # the two hold each other

    def _break(self, fault: Exception) -> None:
        self._fault = fault
        self._transport.abort()
        self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # --- called by the parser --------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-type":
                self.content_type = value.decode("latin-1").partition(";")[0].strip().lower()
            case b"content-length" | b"transfer-encoding":
                self._has_end = True

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._has_head = self.status >= 200  # else it only says that an answer will come

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._is_whole = self._has_head


@asynccontextmanager
async def ask(
    endpoint: Address,
    target: str,
    body: bytes | None = None,
    *,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
) -> AsyncIterator[Answer]:
    """GET `target` of a worker, or POST a JSON body to it; leaving the block ends the exchange.

    Raises WorkerUnreachable, before anything was sent.
    """
    loop = asyncio.get_running_loop()
    try:
        with anyio.fail_after(connect_timeout_s):
            if endpoint.url.startswith(_UNIX):
                path = endpoint.url.removeprefix(_UNIX)
                _, answer = await loop.create_unix_connection(Answer, path)
            else:
                at = urlsplit(endpoint.url)
                transport, answer = await loop.create_connection(Answer, at.hostname or "", at.port or 0)
                keep_watch(transport.get_extra_info("socket"))
    except (OSError, TimeoutError) as error:
        raise WorkerUnreachable(error) from error
    try:
        answer.send(_request(endpoint, target, body))
        yield answer
    finally:
        answer.abort()


def _request(endpoint: Address, target: str, body: bytes | None) -> bytes:
    key = f"Authorization: Bearer {endpoint.key}\r\n" if endpoint.key else ""
    if body is None:
        return f"GET {target} HTTP/1.1\r\nHost: worker\r\n{key}Connection: close\r\n\r\n".encode("ascii")
    head = (
        f"POST {target} HTTP/1.1\r\nHost: worker\r\n{key}Connection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


class _Caps(msgspec.Struct):
    supports_tools: bool = True


class _Props(msgspec.Struct):
    chat_template_caps: _Caps = msgspec.field(default_factory=_Caps)


async def probe(endpoint: Address, timeout_s: float) -> None:
    """One health check. Raises WorkerUnreachable, AnswerBroken or TimeoutError when it is not answered with 200."""
    with anyio.fail_after(timeout_s):
        async with ask(endpoint, "/health") as answer:
            await answer.read()
            if answer.status != 200:
                raise AnswerBroken(f"status {answer.status}")


async def can_call_tools(endpoint: Address, timeout_s: float) -> bool:
    """Whether the chat template supports tools; assumed when the engine does not report it."""
    try:
        with anyio.fail_after(timeout_s):
            async with ask(endpoint, "/props") as answer:
                body = await answer.read()
                told = msgspec.json.decode(body, type=_Props) if answer.status == 200 else _Props()
    except (WorkerUnreachable, AnswerBroken, TimeoutError, msgspec.DecodeError):
        return True  # the health check passed, which is what decides
    return told.chat_template_caps.supports_tools


class _Prompt(msgspec.Struct):
    prompt: str = ""


async def opens_thoughts(endpoint: Address, timeout_s: float) -> bool:
    """Whether the chat template begins an answer inside the model's thoughts even when it is asked for none."""
    question = {
        "messages": [{"role": "user", "content": "Hello"}],
        "chat_template_kwargs": {"enable_thinking": False},
    }
    try:
        with anyio.fail_after(timeout_s):
            async with ask(endpoint, "/apply-template", msgspec.json.encode(question)) as answer:
                body = await answer.read()
                rendered = msgspec.json.decode(body, type=_Prompt) if answer.status == 200 else _Prompt()
    except (WorkerUnreachable, AnswerBroken, TimeoutError, msgspec.DecodeError):
        return False
    return rendered.prompt.rstrip().endswith("<think>")
