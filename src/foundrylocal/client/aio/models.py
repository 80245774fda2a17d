"""Models: what there is, what is on disk, what is in memory."""

from __future__ import annotations

from foundrylocal.client.addresses import model_path
from foundrylocal.client.aio.operation import AsyncOperation
from foundrylocal.client.aio.resource import AsyncResource
from foundrylocal.client.call import Call, Options, given
from foundrylocal.client.timeouts import (
    DOWNLOAD_TIMEOUT_S,
    LOAD_TIMEOUT_S,
    SEARCH_TIMEOUT_S,
    TUNE_TIMEOUT_S,
    UNLOAD_TIMEOUT_S,
    VERIFY_TIMEOUT_S,
)
from foundrylocal.wire.downloads import DownloadAnswer
from foundrylocal.wire.imports import ImportableList
from foundrylocal.wire.models import (
    DeleteAnswer,
    DownloadedList,
    LoadAnswer,
    LoadedList,
    ModelDetails,
    ModelList,
    UnloadAnswer,
)
from foundrylocal.wire.search import SearchAnswer
from foundrylocal.wire.server import DoneAnswer
from foundrylocal.wire.tune import TuneAnswer
from foundrylocal.wire.verify import VerifyAnswer


class AsyncModels(AsyncResource):
    """Calls about models. A name is a simple name, an id or an alias."""

    async def list(self) -> ModelList:
        """All models that can be had, downloaded or not."""
        return await self._send(Call("GET", "/models", ModelList))

    async def downloaded(self) -> DownloadedList:
        """The models that are completely downloaded."""
        return await self._send(Call("GET", "/models/downloaded", DownloadedList))

    async def loaded(self) -> LoadedList:
        """The models in memory."""
        return await self._send(Call("GET", "/models/loaded", LoadedList))

    async def show(self, name: str) -> ModelDetails:
        """Everything about one model, with the memory that it needs."""
        return await self._send(Call("GET", model_path(name), ModelDetails))

    async def download(self, name: str) -> DownloadAnswer:
        """Download a model and wait until it is complete; callers of the same model share one download."""
        call = Call("POST", model_path(name, "/download"), DownloadAnswer, timeout_s=DOWNLOAD_TIMEOUT_S)
        return await self._send(call)

    def download_stream(self, name: str) -> AsyncOperation[DownloadAnswer]:
        """The same, with its progress."""
        return self._operate(Call("POST", model_path(name, "/download-stream"), DownloadAnswer))

    async def delete(self, name: str) -> DeleteAnswer:
        """Delete a model's files from disk."""
        return await self._send(Call("DELETE", model_path(name), DeleteAnswer))

    async def load(self, name: str, *, options: Options = None) -> LoadAnswer:
        """Load a downloaded model alongside the others; starts the server if it is stopped."""
        body = given(options=options)
        return await self._send(Call("POST", model_path(name, "/load"), LoadAnswer, body, LOAD_TIMEOUT_S))

    async def unload(self, name: str) -> UnloadAnswer:
        """Unload a model once its running requests have finished."""
        call = Call("POST", model_path(name, "/unload"), UnloadAnswer, timeout_s=UNLOAD_TIMEOUT_S)
        return await self._send(call)

    async def unload_all(self) -> DoneAnswer:
        """Unload all models; the server keeps running and reloads a model on the next request."""
        return await self._send(Call("POST", "/models/unload-all", DoneAnswer, timeout_s=UNLOAD_TIMEOUT_S))

    async def importable(self) -> ImportableList:
        """Models that other programs have on this machine."""
        return await self._send(Call("GET", "/models/importable", ImportableList))

    async def import_file(
        self, path: str, *, mode: str = "copy", projector_path: str | None = None, name: str | None = None
    ) -> DownloadAnswer:
        """Use a GGUF file of the service's machine as a model; `mode` is copy, move or link."""
        body = given(path=path, mode=mode, projector_path=projector_path, name=name)
        return await self._send(Call("POST", "/models/import", DownloadAnswer, body, DOWNLOAD_TIMEOUT_S))

    async def import_repository(
        self,
        repo: str,
        *,
        quantization: str | None = None,
        file: str | None = None,
        name: str | None = None,
    ) -> DownloadAnswer:
        """Download a repository of the hub, OWNER/REPO, as a model."""
        body = given(repo=repo, quantization=quantization, file=file, name=name)
        return await self._send(Call("POST", "/models/import", DownloadAnswer, body, DOWNLOAD_TIMEOUT_S))

    async def search(self, query: str, *, limit: int | None = None) -> SearchAnswer:
        """Repositories on the hub with GGUF files, and whether each fits now."""
        body = given(query=query, limit=limit)
        return await self._send(Call("POST", "/models/search", SearchAnswer, body, SEARCH_TIMEOUT_S))

    async def verify(self, name: str, *, repair: bool = False) -> VerifyAnswer:
        """Read every byte of a model and report damaged files; with `repair`, download those again."""
        path = model_path(name, "/verify")
        return await self._send(Call("POST", path, VerifyAnswer, {"repair": repair}, VERIFY_TIMEOUT_S))

    async def tune(self, name: str) -> TuneAnswer:
        """Measure what makes a model fast on this machine, in at most two minutes, and save it as its preset."""
        call = Call("POST", model_path(name, "/tune"), TuneAnswer, timeout_s=TUNE_TIMEOUT_S)
        return await self._send(call)

    def tune_stream(self, name: str) -> AsyncOperation[TuneAnswer]:
        """The same, with its progress."""
        return self._operate(Call("POST", model_path(name, "/tune-stream"), TuneAnswer))

    async def cancel_tuning(self) -> DoneAnswer:
        """Cancel the tuning that is under way; nothing is saved."""
        return await self._send(Call("DELETE", "/tune", DoneAnswer))
