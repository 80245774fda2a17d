"""The responses that are kept for `previous_response_id`, in memory and for this run of the service only.

Invariant: at most `limit()` responses and MAX_BYTES of their conversations; the least recently used leaves first.
A response that is larger than MAX_RESPONSE_BYTES with its conversation is not kept: it would displace many others,
and each request that continues it would have to read all of it. A response exists for the key that it was made with
and for no other.
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
    """A response, and the items that it answers: those of the responses before it, and its own input.

    `owner` is the name of the key that it was made with.
    """

    response: Json
    items: list[Json]
    size_bytes: int
    owner: str


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

    def add(self, response: Json, items: list[Json], owner: str = "") -> None:
        """Keep a finished response, if any are kept and it is not too large."""
        size_bytes = len(msgspec.json.encode((response, items)))
        if size_bytes > self._max_response_bytes:
            return
        with self._lock:
            self._kept[response["id"]] = KeptResponse(response, items, size_bytes, owner)
            self._bytes += size_bytes
            while self._kept and (len(self._kept) > self._limit() or self._bytes > self._max_bytes):
                self._bytes -= self._kept.popitem(last=False)[1].size_bytes

    def get(self, response_id: str, owner: str = "") -> KeptResponse:
        """Raises ResponseNotFound, for another owner's response too."""
        with self._lock:
            kept = self._find(response_id, owner)
            self._kept.move_to_end(response_id)
            return kept

    def remove(self, response_id: str, owner: str = "") -> None:
        """Raises ResponseNotFound, for another owner's response too."""
        with self._lock:
            self._bytes -= self._find(response_id, owner).size_bytes
            del self._kept[response_id]

    def remove_all_of(self, owner: str) -> None:
        """Drop what belongs to a key that was revoked: the next key of that name is another person's."""
        with self._lock:
            for response_id in [name for name, kept in self._kept.items() if kept.owner == owner]:
                self._bytes -= self._kept.pop(response_id).size_bytes

    def _find(self, response_id: str, owner: str) -> KeptResponse:
        kept = self._kept.get(response_id)
        if kept is None or kept.owner != owner:
            raise ResponseNotFound(response_id[:100])
        return kept

    def conversation_of(self, response_id: str, owner: str = "") -> list[Json]:
        """The items up to and with a response's output. Raises PreviousResponseNotFound."""
        try:
            kept = self.get(response_id, owner)
        except ResponseNotFound:
            raise PreviousResponseNotFound(response_id[:100]) from None
        return [*kept.items, *kept.response["output"]]
