"""Contain faults: a background task that fails must not take the service down."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVarTuple

Args = TypeVarTuple("Args")


async def contain(log: logging.Logger, work: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
    """Await `work(*args)`; log an unexpected exception and stop there; let cancellation through."""
    try:
        await work(*args)
    except Exception as error:
        name = getattr(work, "__qualname__", repr(work))
        log.error("Unexpected fault in %s: %r", name, error, exc_info=error)
