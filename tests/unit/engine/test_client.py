"""The exchange with a worker, against servers that answer with every shape of bytes, right ones and wrong ones."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable, ask, can_call_tools, probe
from foundrylocal.engine.replica import Address

pytestmark = pytest.mark.anyio
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TIMEOUT_S = 20.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving(*parts: bytes, does_close: bool = True) -> AsyncIterator[tuple[Address, list[bytes]]]:
    """A worker on a port that answers with these writes, one by one; what it was asked comes in the list."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if b"POST" in asked[0]:
            asked.append(await reader.readexactly(2))
        for part in parts:
            writer.write(part)
            await writer.drain()
            await anyio.lowlevel.checkpoint()
        if does_close:
            writer.close()
        else:
            await reader.read()
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with anyio.fail_after(TIMEOUT_S):
            yield Address(f"http://127.0.0.1:{port}", "secret", 1), asked


async def whole(endpoint: Address) -> bytes:
    async with ask(endpoint, "/x") as answer:
        await answer.head()
        return await answer.read()


async def test_a_request_is_sent_with_its_key_and_its_body() -> None:
    async with (
        serving(HEAD + b"Content-Length: 2\r\n\r\nok", does_close=False) as (endpoint, asked),
        ask(endpoint, "/v1/x", b"{}") as answer,
    ):
        await answer.head()
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert await answer.read() == b"ok"
    lines = asked[0].split(b"\r\n")
    assert lines[0] == b"POST /v1/x HTTP/1.1"
    assert {b"Authorization: Bearer secret", b"Connection: close", b"Content-Length: 2"} < set(lines)
    assert asked[1] == b"{}"


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"Content-Length: 5\r\n\r\nhello",),
        (HEAD + b"\r\nhel", b"lo"),  # its end is the connection's
        (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\nmore than that",),
        (b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"Content-Length: 5\r\n\r\nhello"),
        tuple(bytes([byte]) for byte in CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_is_read_whole_however_it_is_framed(parts: tuple[bytes, ...]) -> None:
    async with serving(*parts) as (endpoint, _):
        assert await whole(endpoint) == b"hello"


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"HTTP/1.1 200 OK\r\nContent-",),
        (b"SSH-2.0-OpenSSH_9.9\r\n",),
        (HEAD + b"Content-Length: 5\r\n\r\nhel",),
        (CHUNKED + b"5\r\nhello\r\n",),
        (CHUNKED + b"5\r\nhello\r\nno number\r\n",),
    ],
)
async def test_an_answer_that_is_not_whole_is_broken(parts: tuple[bytes, ...]) -> None:
    async with serving(*parts) as (endpoint, _):
        with pytest.raises(AnswerBroken):
            await whole(endpoint)


async def test_what_came_before_the_end_is_given_before_its_error() -> None:
    async with serving(CHUNKED + b"5\r\nhello\r\n") as (endpoint, _), ask(endpoint, "/x") as answer:
        await answer.head()
        assert await answer.block() == b"hello"
        with pytest.raises(AnswerBroken):
            await answer.block()


async def test_blocks_end_with_an_empty_one() -> None:
    async with serving(CHUNKED + b"1\r\na\r\n0\r\n\r\n") as (endpoint, _), ask(endpoint, "/x") as answer:
        assert [await answer.block(), await answer.block()] == [b"a", b""]


async def test_a_body_is_poured_in_order_with_what_had_come_before() -> None:
    pieces = [b"%d," % number for number in range(2000)]
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    async with serving(CHUNKED, *chunks, b"0\r\n\r\n") as (endpoint, _), ask(endpoint, "/x") as answer:
        got = [await answer.block()]
        await answer.pour(got.append)
    assert b"".join(got) == b"".join(pieces)


async def test_what_the_taker_raises_ends_the_exchange() -> None:
    def refuse(block: bytes) -> None:
        raise ValueError("not this")

    async with (
        serving(CHUNKED, b"1\r\na\r\n", does_close=False) as (endpoint, _),
        ask(endpoint, "/x") as answer,
    ):
        await answer.head()
        with pytest.raises(ValueError, match="not this"):
            await answer.pour(refuse)


async def test_what_the_taker_raises_of_the_last_block_is_not_lost() -> None:
    def refuse(block: bytes) -> None:
        if b"b" in block:
            raise ValueError("not this")

    async with (
        serving(CHUNKED + b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n") as (endpoint, _),
        ask(endpoint, "/x") as answer,
    ):
        with pytest.raises(ValueError, match="not this"):
            await answer.pour(refuse)


async def test_what_came_with_a_fault_is_poured_before_it() -> None:
    got: list[bytes] = []
    async with (
        serving(CHUNKED + b"1\r\na\r\n", b"1\r\nb\r\nno number\r\n") as (endpoint, _),
        ask(endpoint, "/x") as answer,
    ):
        with pytest.raises(AnswerBroken):
            await answer.pour(got.append)
    assert b"".join(got) == b"ab"


async def test_a_paused_answer_takes_no_more_until_it_is_resumed() -> None:
    size = 64 * 1024 * 1024  # more than all buffers on the way hold
    got = bytearray()
    async with serving(HEAD + b"Content-Length: %d\r\n\r\n" % size, bytes(size)) as (endpoint, _):
        async with ask(endpoint, "/x") as answer, anyio.create_task_group() as group:
            got += await answer.block()
            answer.pause()
            group.start_soon(answer.pour, got.extend)
            seen = len(got)
            for _ in range(10):  # the loop and the system have time for megabytes
                async with serving(HEAD + b"\r\nok") as (other, _):
                    await whole(other)
            assert len(got) == seen
            answer.resume()
        assert len(got) == size


@pytest.mark.parametrize("url", ["unix://{folder}/none.sock", "http://127.0.0.1:1"])
async def test_a_worker_that_is_not_there_is_unreachable(url: str, tmp_path: Path) -> None:
    with pytest.raises(WorkerUnreachable):
        await whole(Address(url.format(folder=tmp_path), "", 1))


async def test_a_health_check_wants_an_answer_of_200_in_time() -> None:
    async with serving(HEAD + b"Content-Length: 2\r\n\r\nok") as (endpoint, _):
        await probe(endpoint, TIMEOUT_S)
    async with serving(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as (endpoint, _):
        with pytest.raises(AnswerBroken):
            await probe(endpoint, TIMEOUT_S)
    async with serving(HEAD, does_close=False) as (endpoint, _):
        with pytest.raises(TimeoutError):
            await probe(endpoint, 0.1)


@pytest.mark.parametrize(
    ("body", "can"),
    [
        (b'{"chat_template_caps":{"supports_tools":false}}', False),
        (b'{"chat_template_caps":{"supports_tools":true}}', True),
        (b"{}", True),
        (b"no json", True),
        (b"[]", True),
    ],
)
async def test_an_engine_that_does_not_tell_of_tools_can_call_them(body: bytes, can: bool) -> None:
    async with serving(HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)) as (endpoint, _):
        assert await can_call_tools(endpoint, TIMEOUT_S) is can


@pytest.mark.parametrize(
    ("number", "is_own"),
    [
        (errno.EMFILE, True),
        (errno.ENFILE, True),
        (errno.ENOBUFS, True),
        (errno.ENOMEM, True),
        (errno.EAGAIN, False),  # a UNIX socket whose owner does not accept
        (errno.ECONNREFUSED, False),
        (errno.ENOENT, False),
    ],
)
def test_row_29_only_our_own_shortage_is_ours(number: int, is_own: bool) -> None:
    error = WorkerUnreachable(OSError(number, "said by the system"))
    assert (error.errno, error.is_own_shortage, error.reason) == (number, is_own, os.strerror(number))


def test_a_connection_that_takes_too_long_is_not_ours() -> None:
    error = WorkerUnreachable(TimeoutError())
    assert (error.is_own_shortage, error.reason) == (False, "connecting took too long")


async def test_row_29_without_descriptors_the_reason_is_kept(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 1, hard))
    try:
        with pytest.raises(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for url in (f"unix://{tmp_path / 'a.sock'}", "http://127.0.0.1:9"):
            with pytest.raises(WorkerUnreachable) as caught:
                async with ask(Address(url, "", 1), "/health"):
                    pass
            assert caught.value.is_own_shortage
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in taken:
            os.close(one)
