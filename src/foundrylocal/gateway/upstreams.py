"""Connections to the workers: one HTTP session for each worker process, closed when it is of no more use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from foundrylocal.engine.client import connect
from foundrylocal.engine.spec import Endpoint

if TYPE_CHECKING:
    import aiohttp


@dataclass(eq=False)
class _Upstream:
    session: aiohttp.ClientSession
    users: int = 0


class Upstreams:
    """Owner of the sessions, by the worker's incarnation: two processes never share one."""

    def __init__(self) -> None:
        self._by_incarnation: dict[int, _Upstream] = {}

    @asynccontextmanager
    async def use(self, endpoint: Endpoint) -> AsyncIterator[aiohttp.ClientSession]:
        """The session of that process for the time of one request."""
        unused: list[_Upstream] = []
        upstream = self._by_incarnation.get(endpoint.incarnation)
        if upstream is None:
            unused = self._take_unused()
            upstream = self._by_incarnation[endpoint.incarnation] = _Upstream(connect(endpoint))
        upstream.users += 1
        try:
            for other in unused:
                await other.session.close()
            yield upstream.session
        finally:
            upstream.users -= 1

    def _take_unused(self) -> list[_Upstream]:
        """A new process is here, so some of the old are likely gone; one that is not is connected to again.

        Taken out in one step: while one is being closed others may come for theirs.
        """
        unused = {number: one for number, one in self._by_incarnation.items() if one.users == 0}
        for number in unused:
            del self._by_incarnation[number]
        return list(unused.values())

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            for upstream in self._by_incarnation.values():
                await upstream.session.close()
            self._by_incarnation.clear()
