"""From a model's name to what the engine needs: on disk, sound, and with a specification that fits it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import anyio

from foundrylocal.catalog.gguf.read import GgufHeader, GgufInvalid, read_model
from foundrylocal.catalog.library import Library, Stored
from foundrylocal.catalog.memory import estimate
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import ModelCorrupted, ModelNotDownloaded, SystemExhausted
from foundrylocal.events import Progress
from foundrylocal.kit.exhaustion import is_exhaustion
from foundrylocal.settings.schema import Settings
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import LoadOptions, LoadSettings, resolve_options

Report = Callable[[Progress], None]


class Supply:
    """Asks the library and the downloads; owns the numbers of replicas, and where a model was loaded from.

    A change of the cache folder leaves its models where they are, so that one in use can be loaded again.
    """

    def __init__(self, library: Library, downloads: DownloadManager, settings: SettingsStore) -> None:
        self._library = library
        self._downloads = downloads
        self._settings = settings
        self._numbers = itertools.count(1)
        self._loaded_from: dict[str, Stored] = {}

    async def _is_on_disk(self, model: Model) -> bool:
        return await anyio.to_thread.run_sync(self._library.get, model.model_id) is not None

    async def refuse_unless_obtainable(self, model: Model, may_download: bool) -> None:
        """Raise ModelCorrupted, or ModelNotDownloaded when it is not on disk and may not be fetched."""
        await anyio.to_thread.run_sync(self._library.check, model)
        if not may_download and not await self._is_on_disk(model):
            raise ModelNotDownloaded

    async def obtain(self, model: Model, *, report: Report) -> None:
        """See that the model is on disk, reporting the published lines. Raises the download's errors.

        Cancelling it ends the download too, unless somebody else asked for that.
        """
        report(Progress("Checking if model is downloaded..."))
        if await self._is_on_disk(model):
            report(Progress("Model found locally"))
            return
        report(Progress("Model not found locally, downloading..."))
        download = self._downloads.fetch(model)
        try:
            with download.watch() as events:
                async for event in events:
                    if isinstance(event, Progress):
                        report(event)
            await download.result()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._downloads.withdraw(download)
            raise

    async def delete(self, model: Model) -> int:
        """Remove its files; bytes freed. Raises ModelNotOnDisk, and ModelInUse while it is being fetched."""
        self._loaded_from.pop(model.model_id, None)
        return await self._downloads.delete(model)

    async def specify(self, model: Model, options: LoadOptions) -> ReplicaSpec:
        """What the engine is to run. Raises ModelCorrupted before anything is spawned."""
        stored, header = await anyio.to_thread.run_sync(self._read, model)
        return self._spec(model, stored, header, options, self._settings.current)

    def _read(self, model: Model) -> tuple[Stored, GgufHeader]:
        self._library.check(model)
        stored = self._library.get(model.model_id) or self._loaded_from.get(model.model_id)
        if stored is None or stored.problem() is not None:
            raise ModelNotDownloaded(f"Download it first: POST /models/{model.simple_name}/download.")
        self._loaded_from[model.model_id] = stored
        try:
            return stored, read_model(stored.model_path)[0]
        except (GgufInvalid, OSError) as error:
            if isinstance(error, OSError) and is_exhaustion(error):
                raise SystemExhausted(str(error.strerror)) from None
            reason = (
                str(error) if isinstance(error, GgufInvalid) else f"{error.strerror or 'It cannot be read'}."
            )
            raise ModelCorrupted(model.simple_name, reason) from None

    def _spec(
        self, model: Model, stored: Stored, header: GgufHeader, options: LoadOptions, settings: Settings
    ) -> ReplicaSpec:
        effective = resolve_options(options, settings, LoadSettings)
        if header.context_length:
            context = min(effective.context_size, header.context_length)
            effective = effective.model_copy(update={"context_size": context})
        memory = estimate(
            header, stored.size_bytes, context_size=effective.context_size, parallel=effective.parallel
        )
        is_reranking = header.is_reranker or "rerank" in model.capabilities
        return ReplicaSpec(
            id=f"{model.model_id}#{next(self._numbers)}",
            model_id=model.model_id,
            model_path=stored.model_path,
            projector_path=stored.projector_path,
            file_bytes=stored.size_bytes,
            memory_bytes=memory.total_bytes,
            options=effective,
            is_embedding=(header.is_embedding or "embedding" in model.capabilities) and not is_reranking,
            is_reranking=is_reranking,
        )
