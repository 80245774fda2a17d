"""The gateway's port: bound by a start, released by a stop, changed by a switch.

Invariant: at most one port is open, except for the time of a switch that moves to another one.
"""

from __future__ import annotations

from typing import Protocol

import anyio

GRACE_S = 2.0


class OpenPort(Protocol):
    """An open port of the gateway."""

    @property
    def port(self) -> int: ...

    @property
    def url(self) -> str:
        """The address at which clients on this machine reach it."""

    async def close(self, grace_s: float) -> None:
        """Release the port; connections have `grace_s` to end."""


class PortOpener(Protocol):
    """Opens the gateway's port; the web side implements it."""

    async def open(self, port: int) -> OpenPort:
        """Bind and serve `port` (0: any free one). Raises PortInUse."""


class ServerPort:
    """The owner of the open port."""

    def __init__(self, opener: PortOpener) -> None:
        self._opener = opener
        self._open: OpenPort | None = None
        self._lock = anyio.Lock()

    @property
    def current(self) -> OpenPort | None:
        return self._open

    @property
    def number(self) -> int | None:
        return self._open.port if self._open else None

    @property
    def url(self) -> str | None:
        """The address that clients are given."""
        return f"{self._open.url}/v1" if self._open else None

    async def open(self, number: int) -> None:
        """Bind the port, or raise PortInUse; one that is still open is closed first."""
        async with self._lock:
            await self._close()
            self._open = await self._opener.open(number)

    async def close(self) -> None:
        """Release the port; connections have GRACE_S to end."""
        async with self._lock:
            await self._close()

    async def close_if_current(self, port: OpenPort | None) -> None:
        """Release that port, unless another one was opened since."""
        async with self._lock:
            if self._open is port:
                await self._close()

    async def _close(self) -> None:
        port, self._open = self._open, None
        if port is not None:
            await port.close(GRACE_S)

    async def open_second(self, number: int | None) -> OpenPort | None:
        """A second port for a switch; None when no other one is asked for. Raises PortInUse."""
        if number is None or number == self.number:
            return None
        async with self._lock:
            return await self._opener.open(number)

    async def move_to(self, second: OpenPort | None) -> None:
        """Make the second port the only one."""
        if second is not None:
            await self.close()
            self._open = second

    async def abandon(self, second: OpenPort | None) -> None:
        """Release the second port again."""
        if second is not None:
            await second.close(GRACE_S)
