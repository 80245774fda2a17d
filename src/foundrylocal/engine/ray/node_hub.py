"""Fetches a model onto a node from the Hugging Face hub: for clusters whose nodes have a faster way there.

Invariant: the node ends up with the same bytes as the service, or with an error that says which file differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import anyio.from_thread

from foundrylocal.catalog.library import StagedFile
from foundrylocal.catalog.place import Place
from foundrylocal.downloads.meter import Meter
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.engine.ray.node_files import as_model
from foundrylocal.engine.ray.orders import FileSet
from foundrylocal.errors import ChecksumMismatch, DownloadFailed, FoundryLocalError

REPORT_PERIOD_S = 0.5


class HubFetcher:
    """A `FetchAll` (`node_files`) that takes the bytes from the hub, with the retries of a download."""

    def __init__(self, allowed_hosts: Sequence[str] = ()) -> None:
        self._fetcher = HuggingFaceFetcher(allowed_hosts=lambda: allowed_hosts)

    def __call__(self, wanted: FileSet, place: Place, on_bytes: Callable[[int], None]) -> list[StagedFile]:
        """Raises DownloadFailed, ChecksumMismatch, OSError of the disk."""
        staged = anyio.from_thread.run(self._fetch, wanted, place, on_bytes)
        try:
            _require_same(wanted, staged)
        except ChecksumMismatch:
            # They are what the hub has, so another attempt would take them for finished.
            place.try_to_clear_partial()
            raise
        return staged

    async def _fetch(
        self, wanted: FileSet, place: Place, on_bytes: Callable[[int], None]
    ) -> list[StagedFile]:
        if wanted.hub is None:
            raise DownloadFailed(
                f"{wanted.model_id} does not come from the hub. Set cluster_files to service or path."
            )
        meter = Meter(lambda progress: None, wanted.size_bytes)
        async with anyio.create_task_group() as group:
            group.start_soon(_report, meter, on_bytes)
            try:
                staged = await self._fetcher.fetch(as_model(wanted), wanted.hub, place, meter, _claim_nothing)
            except (FoundryLocalError, OSError) as error:
                failure: Exception | None = error
            else:
                failure = None
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return staged


async def _report(meter: Meter, on_bytes: Callable[[int], None]) -> None:
    while True:
        on_bytes(meter.received_bytes)
        await anyio.sleep(REPORT_PERIOD_S)


async def _claim_nothing(needed_bytes: Callable[[], int]) -> None:
    """The space was checked before, by the sizes that the service knows."""


def _require_same(wanted: FileSet, staged: Sequence[StagedFile]) -> None:
    found = {file.path.name: file.sha256 for file in staged}
    for file in wanted.files:
        if found.get(file.name) != file.sha256:
            raise ChecksumMismatch(file.name, file.sha256, found.get(file.name, "no such file"))
