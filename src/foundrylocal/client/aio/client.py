"""The asynchronous client: the calls on the server and the service, and the groups of the others."""

from __future__ import annotations

import os
from types import TracebackType

from foundrylocal.client.addresses import KEY_VARIABLE, Address, default_url
from foundrylocal.client.aio.models import AsyncModels
from foundrylocal.client.aio.records import (
    AsyncDownloads,
    AsyncKeys,
    AsyncPresets,
    AsyncPromptCache,
    AsyncRequests,
)
from foundrylocal.client.aio.resource import AsyncCaller
from foundrylocal.client.aio.server import AsyncServer
from foundrylocal.client.aio.service import AsyncService
from foundrylocal.client.transport_async import AsyncTransport


class AsyncFoundryLocal(AsyncServer, AsyncService):
    """The management API at `url`.

    Without `url`, it is FOUNDRYLOCAL_URL, or the running service of this home, whatever its port, or port 9500 of
    this machine: the same as for the command line. Without `management_key`, it is FOUNDRYLOCAL_MANAGEMENT_KEY, if
    the service has such a key. Raises InvalidAddress. Use it in a `with` block, or call `close` at the end.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        management_key: str | None = None,
        transport: AsyncCaller | None = None,
    ) -> None:
        key = management_key or os.environ.get(KEY_VARIABLE)
        chosen = transport or AsyncTransport(Address.parse(url or default_url()), key)
        super().__init__(chosen)
        self.models = AsyncModels(chosen)
        self.presets = AsyncPresets(chosen)
        self.downloads = AsyncDownloads(chosen)
        self.keys = AsyncKeys(chosen)
        self.requests = AsyncRequests(chosen)
        self.prompt_cache = AsyncPromptCache(chosen)

    @property
    def url(self) -> str:
        """The address of the service."""
        return self._transport.url

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncFoundryLocal:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
