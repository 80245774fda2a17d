"""One publisher, many readers, each at its own pace.

Invariant: publishing never waits; a reader that falls behind loses its oldest items.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Subscription(Generic[T]):
    """One reader's bounded queue: an async iterator that ends when the broadcast closes."""

    def __init__(self, source: Broadcast[T], first: Iterable[T], size: int) -> None:
        self._source = source
        self._size = size
        self._items: deque[T] = deque(first)
        self._wake = anyio.Event()
        self._is_closed = False

    def _offer(self, item: T) -> None:
        if len(self._items) >= self._size:
            self._items.popleft()
        self._items.append(item)
        self._wake.set()

    def _end(self) -> None:
        self._is_closed = True
        self._wake.set()

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._is_closed:
                raise StopAsyncIteration
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._items.popleft()

    def __enter__(self) -> Subscription[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source._leave(self)


class Broadcast(Generic[T]):
    """Publishing never waits and never fails; a subscription does not include earlier items."""

    def __init__(self) -> None:
        self._readers: set[Subscription[T]] = set()
        self._is_closed = False

    def publish(self, item: T) -> None:
        for reader in self._readers:
            reader._offer(item)

    def subscribe(self, first: Iterable[T] = (), *, size: int = 256) -> Subscription[T]:
        """Receive `first` and then everything published from now on, with no gap in between."""
        reader = Subscription(self, first, size)
        if self._is_closed:
            reader._end()
        else:
            self._readers.add(reader)
        return reader

    def close(self) -> None:
        """End every subscription once its queued items are read."""
        self._is_closed = True
        for reader in self._readers:
            reader._end()
        self._readers.clear()

    def _leave(self, reader: Subscription[T]) -> None:
        self._readers.discard(reader)
