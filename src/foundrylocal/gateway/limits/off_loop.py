"""Checks of requests in a thread, with a time limit; small ones that hold nothing to compile run at once.

Invariant: the event loop never waits for a large body, or for a schema or grammar to be compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from foundrylocal.errors import InvalidRequest

CHECK_TIMEOUT_S = 20.0
SMALL_BODY_BYTES = 65_536
MAX_THREADS = 2
# What a body holds that is compiled, or that brings a conversation of any size with it. An escape may hide either. A
# word in a conversation that looks like one costs a thread and nothing else.
_COSTLY = (b"schema", b"grammar", b"tools", b"json_object", b"previous_response_id", b"\\u")
T = TypeVar("T")


class RequestTooComplex(InvalidRequest):
    """The check of a request took longer than it may."""

    def __init__(self) -> None:
        super().__init__(
            "Invalid request: validation took too long",
            f"Validation took more than {CHECK_TIMEOUT_S:.0f} s. Send fewer or smaller schemas, tools or messages.",
        )


class OffLoop:
    """Owner of the few threads that check requests."""

    def __init__(self) -> None:
        self._threads = anyio.CapacityLimiter(MAX_THREADS)

    async def run(self, check: Callable[[bytes], T], raw: bytes) -> T:
        """What `check` returns and raises. Raises RequestTooComplex."""
        if len(raw) <= SMALL_BODY_BYTES and not any(word in raw for word in _COSTLY):
            return check(raw)
        try:
            with anyio.fail_after(CHECK_TIMEOUT_S):
                return await anyio.to_thread.run_sync(
                    check, raw, limiter=self._threads, abandon_on_cancel=True
                )
        except TimeoutError:
            raise RequestTooComplex from None
