"""The responses that are kept for `previous_response_id`, in memory and for this run of the service only.

Invariant: at most `limit()` responses and MAX_BYTES of their conversations; the least recently used leaves first.
A response that is larger than MAX_RESPONSE_BYTES with its conversation is not kept: it would displace many others,
and each request that continues it would have to read all of it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from foundrylocal.errors import InvalidRequest, ResponseNotFound
from foundrylocal.gateway.dialects.body import Json

MAX_BYTES = 256 * 1024 * 1024
MAX_RESPONSE_BYTES = 16 * 1024 * 1024


class PreviousResponseNotFound(InvalidRequest):
    code = "previous_response_not_found"

    def __init__(self, response_id: str) -> None:
        super().__init__(
            f"Previous response with id '{response_id}' not found: send the whole conversation as 'input', without "
            "'previous_response_id'",
            "The service keeps the last responses in memory (setting responses_kept), none with 'store': false and "
            f"none with more than {MAX_RESPONSE_BYTES // 2**20} MB.",
            param="previous_response_id",
        )


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """A response, and the items that it answers: those of the responses before it, and its own input."""

    response: Json
    items: list[Json]
    size_bytes: int


class ResponseStore:
    """Keeps responses by id; requests are prepared in threads, so it has a lock."""

    def __init__(
        self,
        limit: Callable[[], int],
        max_bytes: int = MAX_BYTES,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._max_response_bytes = min(max_response_bytes, max_bytes)
        self._kept: OrderedDict[str, KeptResponse] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def is_on(self) -> bool:
        return self._limit() > 0

    def add(self, response: Json, items: list[Json]) -> None:
        """Keep a finished response, if any are kept and it is not too large."""
        size_bytes = len(msgspec.json.encode((response, items)))
        if size_bytes > self._max_response_bytes:
            return
        with self._lock:
            self._kept[response["id"]] = KeptResponse(response, items, size_bytes)
            self._bytes += size_bytes
            while self._kept and (len(self._kept) > self._limit() or self._bytes > self._max_bytes):
                self._bytes -= self._kept.popitem(last=False)[1].size_bytes

    def get(self, response_id: str) -> KeptResponse:
        """Raises ResponseNotFound."""
        with self._lock:
            kept = self._kept.get(response_id)
            if kept is None:
                raise ResponseNotFound(response_id[:100])
            self._kept.move_to_end(response_id)
            return kept

    def remove(self, response_id: str) -> None:
        """Raises ResponseNotFound."""
        with self._lock:
            kept = self._kept.pop(response_id, None)
            if kept is None:
                raise ResponseNotFound(response_id[:100])
            self._bytes -= kept.size_bytes

    def conversation_of(self, response_id: str) -> list[Json]:
        """The items up to and with a response's output. Raises PreviousResponseNotFound."""
        try:
            kept = self.get(response_id)
        except ResponseNotFound:
            raise PreviousResponseNotFound(response_id[:100]) from None
        return [*kept.items, *kept.response["output"]]
