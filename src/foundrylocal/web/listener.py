"""A port: bound first, so that a conflict is known before anything else runs, then served with uvicorn.

Invariant: when `serve` ends, however it ends, the port is free.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import socket
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.abc
import uvicorn

from foundrylocal.errors import FoundryLocalError, PortInUse, SystemExhausted, sentence
from foundrylocal.kit.descriptors import max_connections
from foundrylocal.kit.exhaustion import is_exhaustion
from foundrylocal.web.asgi import App
from foundrylocal.web.connection import GuardedConnection
from foundrylocal.web.connection_table import ConnectionTable

BACKLOG = 512
PORT_TRIES = 20
KEEP_ALIVE_S = 75
DATE_S = 1.0
# The share of the descriptors that a port's connections may use; each request to the gateway may take a second one.
GATEWAY_SHARE = 0.375
MANAGEMENT_SHARE = 0.25
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}


class AddressUnusable(FoundryLocalError):
    """This machine has no such address to listen on."""

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(
            f"Cannot listen on '{host}'",
            f"{sentence(reason)} Use localhost, or an address of this machine (settings api_host and gateway_host).",
        )


def _bind_one(family: int, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)  # right away: only a listening socket keeps others off the port
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _addresses(host: str) -> list[tuple[int, str]]:
    if host == "localhost":
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    try:
        found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise AddressUnusable(host, str(error.strerror or error)) from None
    except UnicodeError:  # a label of more than 63 characters
        raise AddressUnusable(host, "It is not a valid host name.") from None
    return list(dict.fromkeys((int(family), str(address[0])) for family, _, _, _, address in found))


def bind(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of `host` with the same port (0: any free one). Raises PortInUse, AddressUnusable."""
    for _ in range(PORT_TRIES):
        try:
            return _bind_all(host, port)
        except PortInUse:
            if port != 0:
                raise
    raise PortInUse(port)


def _bind_all(host: str, port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(host):
            try:
                sockets.append(_bind_one(family, (address, port)))
            except OSError as error:
                if sockets and error.errno in _NO_SUCH_ADDRESS:
                    continue  # a machine without IPv6
                if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEACCES", -1)):
                    raise PortInUse(port) from None
                if is_exhaustion(error):
                    raise SystemExhausted(error.strerror or str(error)) from None
                raise AddressUnusable(host, error.strerror or str(error)) from None
            port = sockets[0].getsockname()[1]
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def port_owner(port: int) -> str | None:
    """The program that listens on a port, as `name (pid N)`; None when the system does not say. Blocking."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            is_there = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if is_there and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None


async def bind_or_name_owner(host: str, port: int) -> list[socket.socket]:
    """Like `bind`, but PortInUse names the owner."""
    try:
        return bind(host, port)
    except PortInUse as error:
        owner = await anyio.to_thread.run_sync(port_owner, error.port)
        raise PortInUse(error.port, owner) from None


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers, since the runtime has its own, and without polling ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_serving = anyio.Event()
        self._leave = anyio.Event()

    def leave(self) -> None:
        """Stop serving."""
        self.should_exit = True
        self._leave.set()

    async def main_loop(self) -> None:
        # Only the Date header is left to update; counter 0 makes on_tick do that.
        while not await self.on_tick(0):
            with anyio.move_on_after(DATE_S):
                await self._leave.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_serving.set()


class Listener:
    """Serves an ASGI app on bound sockets; `descriptor_share` bounds its connections."""

    def __init__(
        self,
        app: App,
        sockets: list[socket.socket],
        *,
        grace_s: int = 5,
        descriptor_share: float = GATEWAY_SHARE,
    ) -> None:
        self.port: int = sockets[0].getsockname()[1]
        self.url = _url(sockets[0])
        self._sockets = sockets
        self.connections = ConnectionTable(max_connections(descriptor_share))
        self._ended = anyio.Event()
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                http=functools.partial(GuardedConnection, table=self.connections),  # type: ignore[arg-type]
                loop="none",
                interface="asgi3",
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=grace_s,
            )
        )

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until closed or cancelled; close the sockets afterwards."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._server.serve, self._sockets)
                await self._server.is_serving.wait()
                task_status.started()
        finally:
            # Uvicorn closes its servers when it exits normally, but not when it is cancelled.
            for server in getattr(self._server, "servers", ()):
                server.close()
            for sock in self._sockets:
                sock.close()
            self._ended.set()

    async def close(self, grace_s: float) -> None:
        """Accept no more connections, give open ones `grace_s` to finish, and return when the port is free."""
        self._server.config.timeout_graceful_shutdown = max(1, round(grace_s))
        self._server.leave()
        with anyio.move_on_after(grace_s + 2.0):
            await self._ended.wait()


def _url(sock: socket.socket) -> str:
    """The address at which a client on this machine reaches a bound socket."""
    name, port = sock.getsockname()[:2]
    address = ipaddress.ip_address(name)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{f'[{address}]' if address.version == 6 else address}:{port}"
