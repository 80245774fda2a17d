"""The models that the user added to the registry, saved on disk for the next start.

Invariant: a model in the file is in the registry, unless the catalog already uses one of its names.
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
from foundrylocal.catalog.registry import LocalSource, Model, Registry, parse_model, render_model
from foundrylocal.downloads.space import disk_error
from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

MAX_BYTES = 16 * 1024 * 1024
MIN_FREE_BYTES = 1024 * 1024
"""What an import needs beside its files: its entry and its manifest."""

_log = logging.getLogger("foundrylocal.DownloadService")


class ImportedModels:
    """Adds to the registry and to the file together."""

    def __init__(self, path: Path, registry: Registry) -> None:
        self._path = path
        self._registry = registry
        self._models: dict[str, Model] = {}
        self._lock = anyio.Lock()

    async def load(self) -> None:
        """Register the imports of earlier runs; a file that cannot be fully read is set aside."""
        for model in await anyio.to_thread.run_sync(self._read):
            try:
                self._registry.add(model)
            except ValueError:
                _log.warning("Imported model %s was skipped: another model has its name.", model.simple_name)
                continue
            self._models[names.key(model.model_id)] = model

    def __contains__(self, model_id: str) -> bool:
        return names.key(model_id) in self._models

    async def add(self, model: Model) -> None:
        """Register and save a model; raises ValueError when a name is taken, InsufficientDiskSpace, DiskRefused."""
        self._registry.add(model)
        self._models[names.key(model.model_id)] = model
        try:
            await self._save()
        except OSError as error:
            self._registry.remove(model.model_id)
            del self._models[names.key(model.model_id)]
            raise await anyio.to_thread.run_sync(
                disk_error, "Importing the model", error, self._path.parent, MIN_FREE_BYTES
            ) from error

    async def remove(self, model_id: str) -> None:
        """Forget a model; does nothing if it was not imported."""
        if self._models.pop(names.key(model_id), None) is None:
            return
        self._registry.remove(model_id)
        try:
            await self._save()
        except OSError as error:
            _log.warning("The list of imported models could not be saved: %s", error.strerror)

    async def remove_if_local(self, model: Model) -> None:
        """Forget a model whose only source was a path on this machine: it cannot be fetched again."""
        if is_local(model):
            await self.remove(model.model_id)

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
        """The models of the list; one invalid entry does not affect the others."""
        models, invalid = [], None
        for entry in entries:
            try:
                models.append(parse_model(entry))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                invalid = error
        if invalid is not None:
            self._set_aside(invalid)
            with contextlib.suppress(OSError):
                self._write(models)
        return models

    def _set_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.corrupt-{int(time.time())}")
        _log.warning(
            "The list of imported models cannot be read (%s); it was renamed to %s.",
            type(error).__name__,
            aside.name,
        )
        try:
            self._path.rename(aside)
        except OSError:
            _log.warning("The list of imported models could not be renamed; the next import overwrites it.")


def is_local(model: Model) -> bool:
    """Whether all sources of a model are paths on this machine."""
    return all(isinstance(source, LocalSource) for source in model.sources)
