"""Models on the Hugging Face hub, fetched by a child process that can be killed at any moment.

Invariant: received bytes stay in the partial folder and are resumed from, across attempts, cancellation and a
crash of the service. Attempts in a row that bring nothing new are bounded in number and in waiting time.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import anyio
import anyio.to_thread

from foundrylocal.catalog import names
from foundrylocal.catalog.library import Place, StagedFile
from foundrylocal.catalog.registry import HubSource, Model, SourceFile
from foundrylocal.downloads.hub import request as hub
from foundrylocal.downloads.hub.request import HubFailed
from foundrylocal.downloads.meter import Meter
from foundrylocal.downloads.sources.base import Claim
from foundrylocal.errors import ChecksumMismatch, DownloadFailed
from foundrylocal.kit.backoff import delay_s

MAX_FRUITLESS_ATTEMPTS = 5
FIRST_DELAY_S = 1.0
MAX_DELAY_S = 30.0
MAX_RETRY_AFTER_S = 120.0

_log = logging.getLogger("foundrylocal.DownloadService")


class HuggingFaceFetcher:
    """Retries until the files are complete, or a bounded number of attempts in a row brought nothing new.

    `allowed_hosts` returns hosts that the hub may redirect to although they are private or without TLS.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Callable[[], Sequence[str]] = tuple,
        stall_s: float = hub.STALL_S,
        first_delay_s: float = FIRST_DELAY_S,
        max_fruitless_attempts: int = MAX_FRUITLESS_ATTEMPTS,
    ) -> None:
        self._allowed_hosts = allowed_hosts
        self._stall_s = stall_s
        self._first_delay_s = first_delay_s
        self._max_fruitless_attempts = max_fruitless_attempts

    def needed_bytes(self, source: HubSource, place: Place) -> int:
        """The bytes still missing, by the sizes that the catalog has."""
        return sum(max(0, (file.size_bytes or 0) - _received_bytes(file, place)) for file in source.files)

    async def fetch(
        self, model: Model, source: HubSource, place: Place, meter: Meter, claim: Claim
    ) -> list[StagedFile]:
        await anyio.to_thread.run_sync(lambda: place.partial.mkdir(parents=True, exist_ok=True))
        fetch = _Fetch(source, place, meter, claim, self._allowed_hosts(), self._stall_s)
        fruitless, most_bytes = 0, 0
        while True:
            try:
                return await fetch.attempt()
            except HubFailed as failure:
                # Only kept bytes count: an attempt whose bytes were discarded has brought nothing.
                kept_bytes = await anyio.to_thread.run_sync(_all_received_bytes, source, place)
                fruitless = 1 if kept_bytes > most_bytes else fruitless + 1
                most_bytes = max(most_bytes, kept_bytes)
                wait_s = self._wait_s(failure, fruitless)
                if wait_s is None:
                    raise failure.error from None
                _log.warning(
                    "Download of %s: %s Retrying in %.1f s.", model.simple_name, _reason(failure), wait_s
                )
            await anyio.sleep(wait_s)

    def _wait_s(self, failure: HubFailed, fruitless: int) -> float | None:
        """How long to wait before the next attempt; None if there is none."""
        if not failure.may_retry or fruitless >= self._max_fruitless_attempts:
            return None
        wait_s = delay_s(fruitless, first_s=self._first_delay_s, max_s=MAX_DELAY_S)
        if failure.retry_after_s is not None:
            # Retrying earlier than the hub asks is useless, and an unbounded wait looks like a hang.
            return max(wait_s, failure.retry_after_s) if failure.retry_after_s <= MAX_RETRY_AFTER_S else None
        return wait_s


class _Fetch:
    """The files of one model, across all attempts."""

    def __init__(
        self,
        source: HubSource,
        place: Place,
        meter: Meter,
        claim: Claim,
        allowed_hosts: Sequence[str],
        stall_s: float,
    ) -> None:
        self._source = source
        self._place = place
        self._meter = meter
        self._claim = claim
        self._allowed_hosts = allowed_hosts
        self._stall_s = stall_s
        self._names = {names.safe_file_name(file.path): file for file in source.files}
        self._sizes = {name: file.size_bytes for name, file in self._names.items()}
        self._attempts = 0

    async def attempt(self) -> list[StagedFile]:
        """Run one child process; the files, if it fetched them all."""
        self._attempts += 1
        self._meter.begin(self._total(), 0)
        hashes: dict[str, str] = {}
        async with aclosing(self._events()) as events:
            async for event in events:
                match event["event"]:
                    case "plan":
                        await self._plan(event["sizes"])
                    case "found":
                        self._meter.find(event["bytes"])
                    case "bytes":
                        self._meter.advance(event["bytes"])
                    case "file":
                        hashes[event["name"]] = event["sha256"]
                        self._require_size(event)
        if hashes.keys() != self._names.keys():
            raise DownloadFailed("The hub did not send all of the model's files.")
        return [StagedFile(self._place.partial / name, hashes[name]) for name in self._names]

    def _events(self) -> AsyncGenerator[dict[str, Any], None]:
        request = {
            "command": "download",
            "repo": self._source.repo,
            "revision": self._source.revision,
            "folder": str(self._place.partial),
            # Xet may be the reason why an earlier attempt failed.
            "may_use_xet": self._attempts == 1,
            "files": [
                {"path": file.path, "name": name, "size_bytes": file.size_bytes, "sha256": file.sha256}
                for name, file in self._names.items()
            ],
        }
        return hub.run_request(
            request,
            cwd=self._place.partial,
            allowed_hosts=self._allowed_hosts,
            stall_s=self._stall_s,
        )

    def _total(self) -> int | None:
        known = [size for size in self._sizes.values() if size is not None]
        return sum(known) if len(known) == len(self._sizes) else None

    async def _plan(self, sizes: dict[str, int | None]) -> None:
        has_unknown = None in self._sizes.values()
        self._sizes |= {name: size for name, size in sizes.items() if size is not None}
        self._meter.set_total(sum(size or 0 for size in self._sizes.values()))
        if has_unknown:
            await self._claim(self._needed_bytes)

    def _needed_bytes(self) -> int:
        return sum(
            max(0, (self._sizes[name] or 0) - _received_bytes(file, self._place))
            for name, file in self._names.items()
        )

    def _require_size(self, event: dict[str, Any]) -> None:
        published = self._names[event["name"]].size_bytes
        if published is not None and event["size_bytes"] != published:
            raise DownloadFailed(
                f"File '{event['name']}' has {event['size_bytes']} bytes instead of {published}."
            )


def _all_received_bytes(source: HubSource, place: Place) -> int:
    return sum(_received_bytes(file, place) for file in source.files)


def _received_bytes(file: SourceFile, place: Place) -> int:
    name = names.safe_file_name(file.path)
    for path in (place.partial / name, place.partial / f"{name}.part"):
        try:
            return path.stat().st_size
        except OSError:
            continue
    return 0


def _reason(failure: HubFailed) -> str:
    error = failure.error
    details = error.details if isinstance(error, DownloadFailed | ChecksumMismatch) else None
    return details or str(error)
