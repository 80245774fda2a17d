"""The list of unfinished downloads on disk, so that a service that died resumes them.

Invariant: a download is in the list from before its first byte until it has ended or was cancelled.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import anyio
import anyio.to_thread

from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

_log = logging.getLogger("foundrylocal.DownloadService")
MAX_BYTES = 1024 * 1024


class PendingDownloads:
    """An ordered set of model ids; each change is on disk when the call returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._model_ids: dict[str, None] = {}
        self._lock = anyio.Lock()

    async def load(self) -> list[str]:
        """The model ids that the last run left; empty if the list cannot be read."""
        found = await anyio.to_thread.run_sync(self._read)
        self._model_ids = dict.fromkeys(found)
        return found

    async def add(self, model_id: str) -> None:
        self._model_ids[model_id] = None
        await self._save()

    async def discard(self, model_id: str) -> None:
        if model_id in self._model_ids:
            del self._model_ids[model_id]
            await self._save()

    async def _save(self) -> None:
        # One save at a time, or an older state could overwrite a newer one.
        async with self._lock:
            data = json.dumps({"downloads": list(self._model_ids)}, indent=1).encode()
            try:
                await anyio.to_thread.run_sync(self._write, data)
            except OSError as error:
                _log.warning("The list of unfinished downloads could not be saved: %s", error.strerror)

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, data)

    def _read(self) -> list[str]:
        sweep_leftovers(self._path)
        try:
            with self._path.open("rb") as file:
                entries = json.loads(file.read(MAX_BYTES))["downloads"]
            return [entry for entry in entries if isinstance(entry, str)]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError):
            _log.warning("The list of unfinished downloads could not be read; it is ignored.")
            return []
