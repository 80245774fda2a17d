"""The gateway's ports in memory: implements `server.port.PortOpener` at the edge where sockets are bound."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import anyio

from foundrylocal.errors import PortInUse
from foundrylocal.server.port import OpenPort

CLOSE_S = 0.2


@dataclass(eq=False)
class FakePort:
    owner: FakePorts
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def close(self, grace_s: float) -> None:
        await anyio.sleep(min(CLOSE_S, grace_s))
        self.owner.open_now.remove(self.port)


class FakePorts:
    """`open_now` are the ports that are bound; those in `taken` belong to another program."""

    def __init__(self) -> None:
        self.open_now: list[int] = []
        self.taken: set[int] = set()
        self._free = itertools.count(50_000)

    async def open(self, port: int) -> OpenPort:
        await anyio.lowlevel.checkpoint()
        number = port or next(self._free)
        if number in self.taken or number in self.open_now:
            raise PortInUse(number)
        self.open_now.append(number)
        return FakePort(self, number)
