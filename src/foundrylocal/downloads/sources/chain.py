"""The sources of a model, tried in their order.

Invariant: nothing is fetched from a source before there is room for it and the reserve.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import anyio
import anyio.to_thread

from foundrylocal.catalog.library import Place, StagedFile
from foundrylocal.catalog.registry import Model, Source
from foundrylocal.downloads.meter import Meter
from foundrylocal.downloads.sources.base import Fetcher
from foundrylocal.downloads.space import RESERVE_BYTES, require_space
from foundrylocal.errors import ChecksumMismatch, DownloadFailed

_log = logging.getLogger("foundrylocal.DownloadService")


class SourceChain:
    """Knows the way of fetching for each kind of source."""

    def __init__(
        self, fetchers: Mapping[type[Any], Fetcher[Any]], *, reserve_bytes: int = RESERVE_BYTES
    ) -> None:
        self._fetchers = fetchers
        self._reserve_bytes = reserve_bytes

    async def require_space(self, model: Model, place: Place) -> None:
        """Raises InsufficientDiskSpace when the first source would not find room."""
        for source, fetcher in self._ways(model.sources)[:1]:
            await self._require(source, fetcher, place)

    async def fetch(self, model: Model, place: Place, meter: Meter) -> list[StagedFile]:
        """Fetch from the first source that works.

        When none does: the error that says most, ChecksumMismatch before DownloadFailed, else the first.
        """
        errors: list[DownloadFailed | ChecksumMismatch] = []
        for source, fetcher in self._ways(model.sources):
            await self._require(source, fetcher, place)
            try:
                return await fetcher.fetch(model, source, place, meter)
            except (DownloadFailed, ChecksumMismatch) as error:
                _log.warning("A source of %s failed: %s", model.simple_name, error.details)
                errors.append(error)
        wrong = [error for error in errors if isinstance(error, ChecksumMismatch)]
        raise next(iter([*wrong, *errors]), DownloadFailed("The model has no source to fetch it from."))

    async def _require(self, source: Source, fetcher: Fetcher[Any], place: Place) -> None:
        def look() -> None:
            require_space(place.cache_dir, fetcher.needed_bytes(source, place) + self._reserve_bytes)

        await anyio.to_thread.run_sync(look)

    def _ways(self, sources: Iterable[Source]) -> list[tuple[Source, Fetcher[Any]]]:
        return [
            (source, self._fetchers[type(source)]) for source in sources if type(source) in self._fetchers
        ]
