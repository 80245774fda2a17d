"""How the service talks to a worker: one HTTP session for each endpoint, over its UNIX socket or loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundrylocal.engine.spec import Endpoint

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT_S = 5.0
_UNIX = "unix://"


def connect(endpoint: Endpoint) -> aiohttp.ClientSession:
    """A session whose requests go to `http://worker/...`; the caller closes it."""
    import aiohttp  # slow to import, and not needed before the first start

    connector: aiohttp.BaseConnector
    if endpoint.url.startswith(_UNIX):
        # No connection is used twice: the engine closes idle ones by its own clock, which would look like a
        # crash to the next request, and until then each holds one of its threads.
        path = endpoint.url.removeprefix(_UNIX)
        connector = aiohttp.UnixConnector(path=path, limit=0, force_close=True)
        base = "http://worker"
    else:
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        base = endpoint.url
    return aiohttp.ClientSession(
        base,
        connector=connector,
        auto_decompress=False,
        # What goes through is bytes from one side to the other: no cookies, no added headers, no own limits.
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        headers={"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        read_bufsize=256 * 1024,
        max_line_size=64 * 1024,
        max_field_size=64 * 1024,
    )


async def can_call_tools(session: aiohttp.ClientSession, timeout_s: float) -> bool:
    """Whether the engine found a place for tools in the chat template; an engine that does not tell can."""
    import aiohttp

    limit = aiohttp.ClientTimeout(total=timeout_s)
    async with session.get("/props", timeout=limit) as answer:
        told = await answer.json() if answer.status == 200 else {}
    return bool((told.get("chat_template_caps") or {}).get("supports_tools", True))


async def probe(session: aiohttp.ClientSession, timeout_s: float) -> None:
    """One health check. Raises OSError, TimeoutError or aiohttp.ClientError when it is not answered with 200."""
    import aiohttp

    limit = aiohttp.ClientTimeout(total=timeout_s)
    async with session.get("/health", timeout=limit) as answer:
        await answer.read()
        answer.raise_for_status()
