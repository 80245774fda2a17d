"""What the download manager asks of every kind of source.

Invariant: a source writes into the place's `partial` folder only, and returns files whose size and sha256
it has checked; what it could not finish it leaves there in a form that its next try can trust or discard.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from foundrylocal.catalog.library import Place, StagedFile
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.meter import Meter

S = TypeVar("S", contravariant=True)
# Takes a call that tells the bytes still needed; raises InsufficientDiskSpace when there is no room for them.
Claim = Callable[[Callable[[], int]], Awaitable[None]]


class Fetcher(Protocol[S]):
    """One way of fetching a model's files."""

    def needed_bytes(self, source: S, place: Place) -> int:
        """Bytes that a fetch still takes on the disk at its worst moment; blocks on the disk."""
        ...

    async def fetch(
        self, model: Model, source: S, place: Place, meter: Meter, claim: Claim
    ) -> list[StagedFile]:
        """Fetch, check and stage the files; cancelling it ends every process it started.

        `claim` asks for room anew when sizes become known that the catalogue has not. Raises DownloadFailed,
        ChecksumMismatch, InsufficientDiskSpace or OSError.
        """
        ...
