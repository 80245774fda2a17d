"""The sources of a model, tried in their order; what is on this machine already is taken from no source.

Invariant: nothing is fetched from a source before there is room for it, for what earlier downloads still
need, and for the reserve.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import anyio
import anyio.to_thread

from foundrylocal.catalog.library import Library, Place, StagedFile
from foundrylocal.catalog.registry import Model, Source
from foundrylocal.downloads.meter import Meter
from foundrylocal.downloads.sources.base import Fetcher
from foundrylocal.downloads.space import RESERVE_BYTES, Room
from foundrylocal.downloads.staging import link_existing as reuse
from foundrylocal.errors import ChecksumMismatch, DownloadFailed

_log = logging.getLogger("foundrylocal.DownloadService")


class SourceChain:
    """Knows the way of fetching for each kind of source."""

    def __init__(
        self,
        fetchers: Mapping[type[Any], Fetcher[Any]],
        library: Library,
        *,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._fetchers = fetchers
        self._library = library
        self._room = Room(reserve_bytes)

    async def require_space(self, model: Model, place: Place) -> None:
        """Raises InsufficientDiskSpace when the first source would not find room; else the room is promised."""

        def look() -> None:
            for source, fetcher in self._ways(model.sources)[:1]:
                rest = reuse.without(source, reuse.likely(self._library, source))
                self._claim(rest, fetcher, place)

        await anyio.to_thread.run_sync(look)

    def release(self, place: Place) -> None:
        """Give back what was promised to a download that has ended."""
        self._room.release(place)

    async def fetch(self, model: Model, place: Place, meter: Meter) -> list[StagedFile]:
        """Fetch from the first source that works.

        When none does: the error that says most, ChecksumMismatch before DownloadFailed, else the first.
        """
        errors: list[DownloadFailed | ChecksumMismatch] = []
        for source, fetcher in self._ways(model.sources):
            try:
                return await self._fetch_rest(model, source, fetcher, place, meter)
            except (DownloadFailed, ChecksumMismatch) as error:
                _log.warning("A source of %s failed: %s", model.simple_name, error.details)
                errors.append(error)
        wrong = [error for error in errors if isinstance(error, ChecksumMismatch)]
        raise next(iter([*wrong, *errors]), DownloadFailed("The model has no source to fetch it from."))

    async def _fetch_rest(
        self, model: Model, source: Source, fetcher: Fetcher[Any], place: Place, meter: Meter
    ) -> list[StagedFile]:
        meter.begin(None)
        shared = await anyio.to_thread.run_sync(reuse.share, self._library, source, place)
        rest = reuse.without(source, set(shared))
        await anyio.to_thread.run_sync(self._claim, rest, fetcher, place)

        async def claim(needs: Callable[[], int]) -> None:
            await anyio.to_thread.run_sync(self._room.claim, place, needs)

        fetched = await fetcher.fetch(model, rest, place, meter, claim) if rest is not None else []
        return [*shared.values(), *fetched]

    def _claim(self, source: Source | None, fetcher: Fetcher[Any], place: Place) -> None:
        self._room.claim(place, lambda: fetcher.needed_bytes(source, place) if source is not None else 0)

    def _ways(self, sources: Iterable[Source]) -> list[tuple[Source, Fetcher[Any]]]:
        return [
            (source, self._fetchers[type(source)]) for source in sources if type(source) in self._fetchers
        ]
