"""Brings a model's files onto a node: fetched, verified and committed by the same code as a download.

Invariants: of the actors on one machine one fetches a model, and the others wait for it; what was received is kept,
and the next attempt resumes; a model is used only after its sha256 was checked, and stays while it is used.
"""

from __future__ import annotations

import http.client
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import anyio.from_thread

from foundrylocal.catalog.gguf.read import GgufInvalid
from foundrylocal.catalog.library import Library, StagedFile, Stored
from foundrylocal.catalog.place import Place
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.hub_child.messages import Failure
from foundrylocal.downloads.space import download_error
from foundrylocal.downloads.staging.partial_file import PartialFile
from foundrylocal.engine.ray.model_locks import ModelLock
from foundrylocal.engine.ray.node_space import make_space, note_use
from foundrylocal.engine.ray.orders import FileServerAddress, FileSet
from foundrylocal.engine.replica import ModelFile
from foundrylocal.errors import ChecksumMismatch, DownloadFailed
from foundrylocal.kit.backoff import delay_s

log = logging.getLogger("foundrylocal.FoundryLocalService")

CHUNK_BYTES = 1024 * 1024
CONNECTION_TIMEOUT_S = 20.0
MAX_FRUITLESS_ATTEMPTS = 6
FIRST_DELAY_S = 0.5
MAX_DELAY_S = 10.0

FetchAll = Callable[[FileSet, Place, Callable[[int], None]], list[StagedFile]]
"""Fetches all files of a set into `partial`; is told how many bytes have arrived. Blocks; runs in a worker thread."""


class NodeModel:
    """A model on this node that stays there until `release`; `paths` leads from the service's paths to those here."""

    def __init__(self, stored: Stored, wanted: FileSet, lock: ModelLock) -> None:
        own = {Path(file.path_in(str(stored.folder))).name: file for file in stored.files}
        self.paths = {
            file.path: Path(own[file.name].path_in(str(stored.folder)))
            for file in wanted.files
            if file.name in own
        }
        self._lock = lock

    def release(self) -> None:
        """It may be removed from now on."""
        self._lock.close()


def ensure_model(
    library: Library, wanted: FileSet, fetch: FetchAll, on_bytes: Callable[[int], None] = lambda count: None
) -> NodeModel:
    """The model on this node, fetched if it is not there. Runs in an anyio worker thread.

    Raises DownloadFailed, ChecksumMismatch, InsufficientDiskSpace.
    """
    try:
        lock = ModelLock(library.cache_dir, wanted.model_id)
        try:
            return NodeModel(_bring(library, wanted, fetch, on_bytes, lock), wanted, lock)
        except BaseException:
            lock.close()
            raise
    except OSError as error:
        raise download_error(error, library.cache_dir, wanted.size_bytes) from error


def _bring(
    library: Library, wanted: FileSet, fetch: FetchAll, on_bytes: Callable[[int], None], lock: ModelLock
) -> Stored:
    """The stored model, with its lock shared."""
    while True:
        lock.share(anyio.from_thread.check_cancelled)
        if (stored := find_same(library, wanted)) is not None:
            note_use(library.cache_dir, wanted.model_id, is_fetched=False)
            return stored
        lock.hold_alone(anyio.from_thread.check_cancelled)
        if find_same(library, wanted) is None:
            _fetch_and_commit(library, wanted, fetch, on_bytes)


def find_same(library: Library, wanted: FileSet) -> Stored | None:
    """The stored model if it has exactly the wanted content."""
    stored = library.get(wanted.model_id)
    if stored is None:
        return None
    return stored if {one.sha256 for one in stored.files} == {one.sha256 for one in wanted.files} else None


def _fetch_and_commit(
    library: Library, wanted: FileSet, fetch: FetchAll, on_bytes: Callable[[int], None]
) -> None:
    place = library.place(wanted.model_id)
    library.recover(place)
    if library.recorded(wanted.model_id) is not None:
        log.info("Replacing model %s on this node: its files differ from the service's", wanted.model_id)
        library.delete(wanted.model_id)
    make_space(library, max(0, wanted.size_bytes - place.partial_bytes()))
    place.partial.mkdir(parents=True, exist_ok=True)
    staged = fetch(wanted, place, on_bytes)
    try:
        library.commit(as_model(wanted), place, staged)
    except GgufInvalid as error:
        place.try_to_clear_partial()
        raise DownloadFailed(f"The service's file is not a valid GGUF file. {error}") from error
    note_use(library.cache_dir, wanted.model_id, is_fetched=True)


def as_model(wanted: FileSet) -> Model:
    """What the library needs to know to store it."""
    name = wanted.model_id.rpartition("/")[2]
    sources = (wanted.hub,) if wanted.hub else ()
    return Model(wanted.model_id, name, None, None, None, None, None, (), sources, wanted.is_adapter)


class ServiceFetcher:
    """Fetches from the service's link; `where` is asked before each attempt, since a new link has a new address."""

    def __init__(
        self,
        where: Callable[[], FileServerAddress | None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._where = where
        self._sleep = sleep

    def __call__(self, wanted: FileSet, place: Place, on_bytes: Callable[[int], None]) -> list[StagedFile]:
        """A `FetchAll`. Raises DownloadFailed, ChecksumMismatch, OSError of the disk."""
        staged, before_bytes = [], 0
        for file in wanted.files:
            partial = PartialFile(place.partial, file.name)
            if partial.finished() != file.sha256:
                self._fetch(file, partial, _beginning_at(before_bytes, on_bytes))
            before_bytes += file.size_bytes
            on_bytes(before_bytes)
            staged.append(StagedFile(partial.final, file.sha256))
        return staged

    def _fetch(self, file: ModelFile, partial: PartialFile, on_bytes: Callable[[int], None]) -> None:
        partial.open(file.sha256, file.size_bytes, anyio.from_thread.check_cancelled)
        try:
            fruitless, most_bytes = 0, partial.size_bytes
            while partial.size_bytes < file.size_bytes:
                reason = self._attempt(file, partial, on_bytes) or "the connection was closed"
                fruitless = 0 if partial.size_bytes > most_bytes else fruitless + 1
                most_bytes = max(most_bytes, partial.size_bytes)
                if fruitless >= MAX_FRUITLESS_ATTEMPTS:
                    raise DownloadFailed(f"The service did not send '{file.name}': {reason}.")
                if partial.size_bytes < file.size_bytes:
                    self._pause(delay_s(max(1, fruitless), first_s=FIRST_DELAY_S, max_s=MAX_DELAY_S))
            partial.finish(file.sha256)
        except Failure as failure:
            if failure.kind == "mismatch":
                raise ChecksumMismatch(file.name, file.sha256, str(failure.facts.get("actual"))) from None
            raise DownloadFailed(failure.text) from None
        finally:
            partial.close()

    def _pause(self, seconds: float) -> None:
        anyio.from_thread.check_cancelled()
        self._sleep(seconds)

    def _attempt(self, file: ModelFile, partial: PartialFile, on_bytes: Callable[[int], None]) -> str | None:
        """Append what comes; why it ended early, or None."""
        server = self._where()
        if server is None:
            return "the service is not connected"
        at = urlsplit(server.url)
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=CONNECTION_TIMEOUT_S)
        try:
            headers = {"Authorization": f"Bearer {server.key}", "Range": f"bytes={partial.size_bytes}-"}
            try:
                connection.request("GET", f"/{file.sha256}", headers=headers)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                return _words(error)
            expected = f"bytes {partial.size_bytes}-{file.size_bytes - 1}/{file.size_bytes}"
            if answer.status != http.client.PARTIAL_CONTENT or answer.getheader("Content-Range") != expected:
                return f"it answered with status {answer.status}"
            return _append(answer, partial, on_bytes)
        finally:
            connection.close()


def _beginning_at(before_bytes: int, on_bytes: Callable[[int], None]) -> Callable[[int], None]:
    """Counts a file's bytes on top of those of the files before it."""
    return lambda count: on_bytes(before_bytes + count)


def _append(
    answer: http.client.HTTPResponse, partial: PartialFile, on_bytes: Callable[[int], None]
) -> str | None:
    while True:
        anyio.from_thread.check_cancelled()
        try:
            data = answer.read(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            return _words(error)
        if not data:
            return None
        partial.write(data)
        on_bytes(partial.size_bytes)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
