"""What the download manager asks of every kind of source.

Invariant: a source writes into the place's `partial` folder only, and returns files whose size and sha256
it has checked; what it could not finish it leaves there in a form that its next try can trust or discard.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from foundrylocal.catalog.library import Place, StagedFile
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.meter import Meter

S = TypeVar("S", contravariant=True)


class Fetcher(Protocol[S]):
    """One way of fetching a model's files."""

    def needed_bytes(self, source: S, place: Place) -> int:
        """Bytes that a fetch still takes on the disk at its worst moment; blocks on the disk."""
        ...

    async def fetch(self, model: Model, source: S, place: Place, meter: Meter) -> list[StagedFile]:
        """Fetch, check and stage the files; cancelling it ends every process it started.

        Raises DownloadFailed, ChecksumMismatch, InsufficientDiskSpace or OSError.
        """
        ...
