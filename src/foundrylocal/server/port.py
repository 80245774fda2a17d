"""The gateway's way in: the owner of its open port, and of the gate that holds requests during an exchange."""

from __future__ import annotations

import anyio

from foundrylocal.server.requests import OpenPort, PortOpener

GRACE_S = 2.0


class ServerPort:
    """At most one port is open, but for the moment in which a switch moves to another."""

    def __init__(self, port_opener: PortOpener) -> None:
        self._port_opener = port_opener
        self._door: OpenPort | None = None
        self._lock = anyio.Lock()
        self._may_pass = anyio.Event()
        self._may_pass.set()

    @property
    def port(self) -> int | None:
        return self._door.port if self._door else None

    @property
    def url(self) -> str | None:
        """The address that clients are given."""
        return f"http://127.0.0.1:{self._door.port}/v1" if self._door else None

    @property
    def door(self) -> OpenPort | None:
        return self._door

    async def open(self, port: int) -> None:
        """Bind the port, or raise PortInUse; one that was to be closed is closed first."""
        async with self._lock:
            await self._close()
            self._door = await self._port_opener.open(port)

    async def close(self) -> None:
        """Release the port; connections have GRACE_S to end."""
        async with self._lock:
            await self._close()

    async def close_this(self, door: OpenPort | None) -> None:
        """Release that port, unless another was opened since."""
        async with self._lock:
            if self._door is door:
                await self._close()

    async def _close(self) -> None:
        door, self._door = self._door, None
        if door is not None:
            await door.close(GRACE_S)

    async def open_another(self, port: int | None) -> OpenPort | None:
        """A second port beside the first, when it is asked for and another one. Raises PortInUse."""
        if port is None or port == self.port:
            return None
        async with self._lock:
            return await self._port_opener.open(port)

    async def move_to(self, door: OpenPort | None) -> None:
        """Make the second port the only one."""
        if door is not None:
            await self.close()
            self._door = door

    async def abandon(self, door: OpenPort | None) -> None:
        """Release the second port again."""
        if door is not None:
            await door.close(GRACE_S)

    # --- the gate ---------------------------------------------------------------------------------------

    def hold(self) -> None:
        """From now on requests wait at the gate."""
        if self._may_pass.is_set():
            self._may_pass = anyio.Event()

    def let_pass(self) -> None:
        self._may_pass.set()

    async def pass_gate(self) -> None:
        while not self._may_pass.is_set():
            await self._may_pass.wait()
