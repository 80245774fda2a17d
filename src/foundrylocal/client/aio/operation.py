"""An operation of the service, followed while it runs.

Invariant: an operation belongs to the service. Whoever stops following it early does not cancel it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from types import TracebackType
from typing import Generic, TypeVar

from foundrylocal.client.call import read_as
from foundrylocal.client.errors import ConnectionLost, NotFoundryLocal, error_of
from foundrylocal.client.transport import decoded
from foundrylocal.wire.events import ProgressEvent

T = TypeVar("T")


class AsyncOperation(Generic[T]):
    """Iterate over it for its progress; `result` waits for its end and returns what the plain call would return.

    Both raise ApiError if the operation is refused or fails. It begins with the first iteration, or with `result`.
    """

    def __init__(self, events: AsyncGenerator[str, None], answer: type[T], url: str) -> None:
        self._events = events
        self._answer = answer
        self._url = url
        self._result: T | None = None
        self.message: str | None = None
        """The last message of the service."""

    async def __aiter__(self) -> AsyncIterator[ProgressEvent]:
        async for text in self._events:
            event = decoded(text)
            if not isinstance(event, dict):
                raise NotFoundryLocal(self._url, "An event of its stream is not a JSON object.")
            self.message = str(event.get("message", ""))
            if event.get("type") == "error":
                raise error_of(event, 500) or NotFoundryLocal(
                    self._url, "An error of its stream has no message."
                )
            if event.get("type") == "success":
                self._result = read_as(self._answer, json.dumps(event.get("data")), self._url)
                await self._events.aclose()
                return
            yield read_as(ProgressEvent, text, self._url)
        if self._result is None:
            raise ConnectionLost(self._url, "The service disconnected before the operation ended.")

    async def result(self) -> T:
        """Wait until the operation has ended."""
        if self._result is None:
            async for _ in self:
                pass
        assert self._result is not None  # noqa: S101 - the iteration ends with it, or raises
        return self._result

    async def close(self) -> None:
        """Stop following it; the service goes on with it."""
        await self._events.aclose()

    async def __aenter__(self) -> AsyncOperation[T]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
