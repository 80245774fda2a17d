"""HTTP for the asynchronous client, by httpx: every wait is bounded, and every failure is a ClientError."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import httpx

from foundrylocal.client.addresses import Address
from foundrylocal.client.errors import ConnectionLost, NoAnswer, Unreachable
from foundrylocal.client.transport import headers_of, refusal
from foundrylocal.kit import sse


class AsyncTransport:
    """Calls to one address; connections are kept until `close`."""

    def __init__(self, address: Address, key: str | None = None) -> None:
        self.address = address
        self._key = key
        # A proxy from the environment must not get what is meant for this machine.
        self._http = httpx.AsyncClient(trust_env=not address.is_local)

    @property
    def url(self) -> str:
        return self.address.url

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> AsyncIterator[httpx.Response]:
        headers = headers_of(self._key, body)
        try:
            async with self._http.stream(
                method, self.url + path, content=body, headers=headers, timeout=timeout_s
            ) as answer:
                if answer.status_code >= 400:
                    wait_s = answer.headers.get("retry-after")
                    raise refusal(self.url, answer.status_code, await answer.aread(), wait_s)
                yield answer
        except httpx.ConnectError as error:
            raise Unreachable(self.url, str(error) or "Nothing is listening there.") from error
        except httpx.TimeoutException as error:
            raise NoAnswer(self.url, timeout_s) from error
        except httpx.HTTPError as error:
            raise ConnectionLost(self.url, str(error) or type(error).__name__) from error

    async def call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> bytes:
        """The body of the answer. Raises ApiError if it is an error."""
        async with self._open(method, path, body, timeout_s) as answer:
            return await answer.aread()

    async def events(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> AsyncGenerator[str, None]:
        """The data of each server-sent event as it arrives; closing the generator ends the request."""
        async with self._open(method, path, body, timeout_s) as answer:
            async for line in answer.aiter_lines():
                for data in sse.parse([line]):
                    yield data

    async def close(self) -> None:
        """Close the connections that were kept."""
        await self._http.aclose()
