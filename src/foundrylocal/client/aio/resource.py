"""What every group of calls stands on: sending one call, following an operation, watching a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, TypeVar

from foundrylocal.client.aio.operation import AsyncOperation
from foundrylocal.client.call import Call
from foundrylocal.client.timeouts import STREAM_TIMEOUT_S
from foundrylocal.client.transport import encoded

T = TypeVar("T")


class AsyncCaller(Protocol):
    """The transport: it sends what a call says."""

    @property
    def url(self) -> str: ...

    async def call(self, method: str, path: str, body: bytes | None, timeout_s: float) -> bytes: ...

    def events(
        self, method: str, path: str, body: bytes | None, timeout_s: float
    ) -> AsyncGenerator[str, None]: ...

    async def close(self) -> None: ...


class AsyncResource:
    """A group of calls."""

    def __init__(self, transport: AsyncCaller) -> None:
        self._transport = transport

    async def _send(self, call: Call[T]) -> T:
        data = await self._transport.call(call.method, call.full_path, encoded(call.body), call.timeout_s)
        return call.read(data, self._transport.url)

    def _operate(self, call: Call[T]) -> AsyncOperation[T]:
        return AsyncOperation(self._watch(call), call.answer, self._transport.url)

    def _watch(self, call: Call[T]) -> AsyncGenerator[str, None]:
        return self._transport.events(call.method, call.full_path, encoded(call.body), STREAM_TIMEOUT_S)
