"""A connection to a worker over TCP is watched by the system, on both kinds of event loop."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from foundrylocal.engine.client import ask
from foundrylocal.engine.keepalive import UNACKNOWLEDGED_S
from foundrylocal.engine.replica import Address


async def _options() -> list[int]:
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with ask(Address(f"http://127.0.0.1:{port}", "", 1), "/x") as answer:
            connection = answer._transport.get_extra_info("socket")
            return [
                connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            ]


@pytest.mark.skipif(sys.platform != "linux", reason="the options are named otherwise, or not there")
@pytest.mark.parametrize("is_uvloop", [False, True])
def test_a_worker_that_went_silent_is_noticed(is_uvloop: bool) -> None:
    run = pytest.importorskip("uvloop").run if is_uvloop else asyncio.run
    assert run(_options()) == [1, 5, 2, 3, UNACKNOWLEDGED_S * 1000]
