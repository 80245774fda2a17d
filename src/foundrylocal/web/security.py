"""Who may call, checked before routing on both ports: the Host, the page's Origin, and CORS for allowed origins.

A web page from elsewhere can make a browser send requests here (DNS rebinding, cross-site requests).
Invariant: such a request neither changes nor reads anything. Programs send no Origin and are not affected.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable

from foundrylocal.errors import FoundryLocalError, HostNotAllowed, OriginNotAllowed
from foundrylocal.web.asgi import App, Header, Message, Receive, Scope, Send, headers_named
from foundrylocal.web.errors import send_error

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._\-]+)(?::(?P<port>\d{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.\-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._\-]+)(?::\d{1,5})?")
_HEADER_LIST = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, \-]{0,2048}")
_METHODS = b"GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD"


def allowed_names(allowed_hosts: list[str], bound_host: str) -> list[str]:
    """The Host names of a port: those of the setting and, where it is bound to one IP address, that address.

    A wildcard address adds nothing, and neither does a name: only an address cannot be rebound by DNS.
    """
    try:
        address = ipaddress.ip_address(bound_host.strip("[]"))
    except ValueError:
        return allowed_hosts
    if address.is_unspecified:
        return allowed_hosts
    return [*allowed_hosts, f"[{address}]" if address.version == 6 else str(address)]


SendRefusal = Callable[[Scope, Send, FoundryLocalError], Awaitable[None]]
"""Sends an error in the shape of the path that was called."""


async def _send_refusal(scope: Scope, send: Send, error: FoundryLocalError) -> None:
    await send_error(send, error)


class CallerCheck:
    """ASGI middleware; it asks for the allowed names on each request, so a changed setting applies at once."""

    def __init__(
        self,
        app: App,
        allowed_hosts: Callable[[], list[str]],
        allowed_origins: Callable[[], list[str]],
        send_refusal: SendRefusal = _send_refusal,
    ) -> None:
        self._app = app
        self._allowed_hosts = allowed_hosts
        self._allowed_origins = allowed_origins
        self._send_refusal = send_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            self._check_host(scope)
            origin = self._check_origin(scope)
        except FoundryLocalError as error:
            await self._send_refusal(scope, send, error)
            return
        if origin is None:
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS" and headers_named(scope, b"access-control-request-method"):
            await _answer_preflight(scope, send, origin)
        else:
            await self._app(scope, receive, _with_cors(send, origin))

    def _check_host(self, scope: Scope) -> None:
        hosts = headers_named(scope, b"host")
        if len(hosts) != 1:
            raise HostNotAllowed
        found = _HOST.fullmatch(hosts[0].decode("latin-1").lower())
        if not found or int(found["port"] or 0) > 65535:
            raise HostNotAllowed
        if found["name"] not in _LOCAL_HOSTS and found["name"] not in self._allowed_hosts():
            raise HostNotAllowed

    def _check_origin(self, scope: Scope) -> bytes | None:
        """The origin of the calling page if it may call; None if the caller is not a page."""
        origins = headers_named(scope, b"origin")
        if not origins:
            if b"cross-site" in headers_named(scope, b"sec-fetch-site"):
                raise OriginNotAllowed
            return None
        if len(origins) != 1:
            raise OriginNotAllowed
        text = origins[0].decode("latin-1").lower()
        allowed = self._allowed_origins()
        scheme, separator, _ = text.partition("://")
        if text in allowed or (separator and f"{scheme}://*" in allowed):
            return origins[0]
        found = _ORIGIN.fullmatch(text)
        if not found or found["scheme"] not in ("http", "https") or found["host"] not in _LOCAL_HOSTS:
            raise OriginNotAllowed
        return origins[0]


def _cors(origin: bytes) -> list[Header]:
    return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]


async def _answer_preflight(scope: Scope, send: Send, origin: bytes) -> None:
    headers = [
        *_cors(origin),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", b"600"),
    ]
    asked = b", ".join(headers_named(scope, b"access-control-request-headers"))
    if asked and _HEADER_LIST.fullmatch(asked):
        headers.append((b"access-control-allow-headers", asked))
    if headers_named(scope, b"access-control-request-private-network") == [b"true"]:
        headers.append((b"access-control-allow-private-network", b"true"))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _with_cors(send: Send, origin: bytes) -> Send:
    async def send_with_cors(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_cors(origin)]
        await send(message)

    return send_with_cors
