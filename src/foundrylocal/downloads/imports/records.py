"""The models that the user added to the registry, on disk, so that the next start knows them.

Invariant: what is in the file is in the registry, unless a name of it is taken by the catalogue.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from foundrylocal.catalog import names
from foundrylocal.catalog.registry import Model, Registry, parse_model, render_model
from foundrylocal.errors import DiskRefused
from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

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
        """Register what earlier runs imported; a file that cannot be read whole is set aside."""
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
            await anyio.to_thread.run_sync(self._write, list(self._models.values()))

    def _write(self, models: Iterable[Model]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        entries = [render_model(model) for model in models]
        write_atomically(self._path, json.dumps({"models": entries}, indent=1).encode())

    def _read(self) -> list[Model]:
        sweep_leftovers(self._path)
        try:
            with self._path.open("rb") as file:
                entries = list(json.loads(file.read(MAX_BYTES))["models"])
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._set_aside(error)
            return []
        return self._parse(entries)

    def _parse(self, entries: list[Any]) -> list[Model]:
        """The models of the list; one entry that is none does not take the others with it."""
        models, wrong = [], None
        for entry in entries:
            try:
                models.append(parse_model(entry))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                wrong = error
        if wrong is not None:
            self._set_aside(wrong)
            with contextlib.suppress(OSError):
                self._write(models)
        return models

    def _set_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.corrupt-{int(time.time())}")
        _log.warning("The list of imported models is set aside as %s: %s", aside.name, type(error).__name__)
        try:
            self._path.rename(aside)
        except OSError:
            _log.warning("It could not be renamed, and the next import replaces it.")
