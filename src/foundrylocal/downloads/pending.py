"""The list of unfinished downloads on disk: a service that died resumes them, and paused ones stay paused.

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
        self._is_paused: dict[str, bool] = {}
        self._lock = anyio.Lock()

    async def load(self) -> list[str]:
        """The model ids that the last run left, paused ones left out; empty if the list cannot be read."""
        self._is_paused = await anyio.to_thread.run_sync(self._read)
        return [model_id for model_id, is_paused in self._is_paused.items() if not is_paused]

    def paused(self) -> list[str]:
        """The model ids of the paused downloads."""
        return [model_id for model_id, is_paused in self._is_paused.items() if is_paused]

    async def add(self, model_id: str) -> None:
        self._is_paused[model_id] = False
        await self._save()

    async def pause(self, model_id: str) -> None:
        self._is_paused[model_id] = True
        await self._save()

    async def discard(self, model_id: str) -> None:
        if model_id in self._is_paused:
            del self._is_paused[model_id]
            await self._save()

    async def _save(self) -> None:
        # One save at a time, or an older state could overwrite a newer one.
        async with self._lock:
            running = [model_id for model_id, is_paused in self._is_paused.items() if not is_paused]
            data = json.dumps({"downloads": running, "paused": self.paused()}, indent=1).encode()
            try:
                await anyio.to_thread.run_sync(self._write, data)
            except OSError as error:
                _log.warning("The list of unfinished downloads could not be saved: %s", error.strerror)

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, data)

    def _read(self) -> dict[str, bool]:
        sweep_leftovers(self._path)
        try:
            with self._path.open("rb") as file:
                saved = json.loads(file.read(MAX_BYTES))
            running = dict.fromkeys((one for one in saved["downloads"] if isinstance(one, str)), False)
            # A service before pauses existed wrote no such list.
            return running | dict.fromkeys(
                (one for one in saved.get("paused", ()) if isinstance(one, str)), True
            )
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            _log.warning("The list of unfinished downloads could not be read; it is ignored.")
            return {}
