"""The interface of every kind of source.

Invariant: a source writes into the place's `partial` folder only, and returns files whose size and sha256 it has
checked. It leaves unfinished files there in a form that its next attempt can trust or discard.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from foundrylocal.catalog.library import Place, StagedFile
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.meter import Meter

S = TypeVar("S", contravariant=True)
# Takes a function that returns the bytes still needed; raises InsufficientDiskSpace when they do not fit.
Claim = Callable[[Callable[[], int]], Coroutine[Any, Any, None]]


class Fetcher(Protocol[S]):
    """Fetches a model's files from one kind of source."""

    def needed_bytes(self, source: S, place: Place) -> int:
        """Bytes of disk space that a fetch still needs at its peak; blocks on the disk."""
        ...

    async def fetch(
        self, model: Model, source: S, place: Place, meter: Meter, claim: Claim
    ) -> list[StagedFile]:
        """Fetch, check and stage the files; cancelling ends every process it started.

        `claim` updates the claimed space when a size becomes known that the catalog does not have. Raises
        DownloadFailed, ChecksumMismatch, InsufficientDiskSpace or OSError.
        """
        ...
