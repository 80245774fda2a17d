"""The models that the user added to the registry, on disk, so that the next start knows them.

Invariant: what is in the file is in the registry, unless a name of it is taken by the catalogue.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import anyio
import anyio.to_thread

from foundrylocal.catalog import names
from foundrylocal.catalog.registry import Model, Registry, parse_model, render_model
from foundrylocal.errors import DiskRefused
from foundrylocal.kit.atomic_file import write_atomically

MAX_BYTES = 16 * 1024 * 1024

_log = logging.getLogger("foundrylocal.DownloadService")


class ImportedModels:
    """Adds to the registry and to the file together."""

    def __init__(self, path: Path, registry: Registry) -> None:
        self._path = path
        self._registry = registry
        self._models: dict[str, Model] = {}
        self._lock = anyio.Lock()

    async def load(self) -> None:
        """Register what earlier runs imported; a file that cannot be read is set aside."""
        for model in await anyio.to_thread.run_sync(self._read):
            try:
                self._registry.add(model)
            except ValueError:
                _log.warning("The imported model %s is left out: its name is taken.", model.simple_name)
                continue
            self._models[names.key(model.model_id)] = model

    def __contains__(self, model_id: str) -> bool:
        return names.key(model_id) in self._models

    async def add(self, model: Model) -> None:
        """Register and save a model; raises ValueError when a name is taken, DiskRefused."""
        self._registry.add(model)
        self._models[names.key(model.model_id)] = model
        try:
            await self._save()
        except OSError as error:
            self._registry.remove(model.model_id)
            del self._models[names.key(model.model_id)]
            raise DiskRefused("Importing the model", error.strerror or type(error).__name__) from error

    async def remove(self, model_id: str) -> None:
        """Forget a model; one that is not there is fine."""
        if self._models.pop(names.key(model_id), None) is None:
            return
        self._registry.remove(model_id)
        try:
            await self._save()
        except OSError as error:
            _log.warning("The list of imported models could not be saved: %s", error.strerror)

    async def _save(self) -> None:
        async with self._lock:
            entries = [render_model(model) for model in self._models.values()]
            data = json.dumps({"models": entries}, indent=1).encode()
            await anyio.to_thread.run_sync(self._write, data)

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, data)

    def _read(self) -> list[Model]:
        try:
            with self._path.open("rb") as file:
                entries = json.loads(file.read(MAX_BYTES))["models"]
            return [parse_model(entry) for entry in entries]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            aside = self._path.with_name(f"{self._path.name}.corrupt-{int(time.time())}")
            _log.warning(
                "The list of imported models is set aside as %s: %s", aside.name, type(error).__name__
            )
            try:
                self._path.rename(aside)
            except OSError:
                _log.warning("It could not be renamed, and the next import replaces it.")
            return []
