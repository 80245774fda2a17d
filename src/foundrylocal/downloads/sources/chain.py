"""Tries the sources of a model in order; files that are already on this machine are not fetched.

Invariant: nothing is fetched before there is space for it, for what earlier downloads still need, and for the
reserve.
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
from foundrylocal.downloads.space import RESERVE_BYTES, DiskNeed, SpaceLedger
from foundrylocal.downloads.staging import link_existing
from foundrylocal.errors import ChecksumMismatch, DownloadFailed

_log = logging.getLogger("foundrylocal.DownloadService")


class SourceChain:
    """Has the fetcher for each kind of source."""

    def __init__(
        self,
        fetchers: Mapping[type[Any], Fetcher[Any]],
        library: Library,
        *,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._fetchers = fetchers
        self._library = library
        self._space = SpaceLedger(reserve_bytes)

    async def require_space(self, model: Model, place: Place) -> None:
        """Claim the space that the first source needs; raises InsufficientDiskSpace."""

        def claim() -> None:
            for _, fetcher, rest in self._first_source(model):
                self._claim_space(rest, fetcher, place)

        await anyio.to_thread.run_sync(claim)

    def look_at_space(self, model: Model, place: Place) -> DiskNeed:
        """What `require_space` would claim, without claiming it; blocks on the disk."""
        needed_bytes = sum(
            fetcher.needed_bytes(rest, place)
            for _, fetcher, rest in self._first_source(model)
            if rest is not None
        )
        return self._space.look(place, needed_bytes)

    def _first_source(self, model: Model) -> list[tuple[Source, Fetcher[Any], Source | None]]:
        """The source that is tried first, if any, with its fetcher and what of it is not on this machine yet."""
        return [
            (source, fetcher, link_existing.without(source, link_existing.likely(self._library, source)))
            for source, fetcher in self._fetchers_for(model.sources)[:1]
        ]

    def release(self, place: Place) -> None:
        """Give back the space that was claimed for a download that has ended."""
        self._space.release(place)

    async def fetch(self, model: Model, place: Place, meter: Meter) -> list[StagedFile]:
        """Fetch from the first source that works.

        If none does, raises the most specific error: ChecksumMismatch before DownloadFailed, else the first.
        """
        errors: list[DownloadFailed | ChecksumMismatch] = []
        for source, fetcher in self._fetchers_for(model.sources):
            try:
                return await self._fetch_rest(model, source, fetcher, place, meter)
            except (DownloadFailed, ChecksumMismatch) as error:
                _log.warning("A source of model %s failed: %s", model.simple_name, error.details)
                errors.append(error)
        mismatches = [error for error in errors if isinstance(error, ChecksumMismatch)]
        raise next(
            iter([*mismatches, *errors]),
            DownloadFailed("The model has no source of a supported kind."),
        )

    async def _fetch_rest(
        self, model: Model, source: Source, fetcher: Fetcher[Any], place: Place, meter: Meter
    ) -> list[StagedFile]:
        meter.begin(None)
        shared = await anyio.to_thread.run_sync(link_existing.share, self._library, source, place)
        rest = link_existing.without(source, set(shared))
        await anyio.to_thread.run_sync(self._claim_space, rest, fetcher, place)

        async def claim(needs: Callable[[], int]) -> None:
            await anyio.to_thread.run_sync(self._space.claim, place, needs)

        fetched = await fetcher.fetch(model, rest, place, meter, claim) if rest is not None else []
        return [*shared.values(), *fetched]

    def _claim_space(self, source: Source | None, fetcher: Fetcher[Any], place: Place) -> None:
        self._space.claim(place, lambda: fetcher.needed_bytes(source, place) if source is not None else 0)

    def _fetchers_for(self, sources: Iterable[Source]) -> list[tuple[Source, Fetcher[Any]]]:
        return [
            (source, self._fetchers[type(source)]) for source in sources if type(source) in self._fetchers
        ]
