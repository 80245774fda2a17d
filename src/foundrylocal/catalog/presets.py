"""The presets: what users saved for single models, in one file.

Invariant: the file is replaced as a whole and always parses; a damaged one is set aside and no preset is in force.
Presets are kept by model id, ignoring case, so that every name of a model leads to the same one. They outlive the
model's files: a model that is downloaded again has its preset again. An alias may have a preset of its own
(`alias_key`), whose request defaults go before those of the model.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from foundrylocal import __version__
from foundrylocal.catalog import names
from foundrylocal.catalog.ollama_names import without_latest
from foundrylocal.errors import ConfigurationUpdateFailed, InvalidRequest
from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically
from foundrylocal.wire.presets import Preset

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

FILE_NAME: Final = "presets.json"
MAX_FILE_BYTES: Final = 8 * 1024 * 1024
MAX_SHOWN_CHARS: Final = 200
_NONE: Final = Preset.model_validate({})


def alias_key(alias: str) -> str:
    """The key of an alias that has a preset of its own; no model id begins so."""
    return names.key(f"alias:{without_latest(alias)}")


class PresetNotSaved(ConfigurationUpdateFailed):
    """The disk refused the file of the presets; `reason` is the operating system's error text."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.message = "Failed to save the preset"
        self.details = (
            f"The file cannot be written: {reason}. The saved presets are unchanged; free disk space or check the "
            "permissions of the configuration folder, then try again."
        )


class PresetStore:
    """Owner of the presets; changes block on the disk, reading does not."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._lock = threading.Lock()  # changes run in threads
        sweep_leftovers(self._path)
        self._presets: Mapping[str, Preset] = self._load()

    def of(self, model_id: str) -> Preset:
        """The preset of a model; one without values when none is saved."""
        return self._presets.get(names.key(model_id), _NONE)

    def for_request(self, name: str | None, model_id: str) -> Preset:
        """The preset of a request to a model: that of the alias it names, if there is one, over the model's own."""
        own = self.of(model_id)
        of_alias = self._presets.get(alias_key(name)) if name else None
        return own if of_alias is None else Preset.model_validate({**own.saved(), **of_alias.saved()})

    def context_of_alias(self, name: str | None) -> int | None:
        """The context in tokens that the preset of an alias asks for; None when it has none."""
        of_alias = self._presets.get(alias_key(name)) if name else None
        wanted = of_alias.context_size if of_alias else None
        return wanted if isinstance(wanted, int) else None

    def merged(self, model_id: str, changes: Mapping[str, Any]) -> Preset:
        """The preset as it would be with these changes, of which null removes a value. Raises ValidationError."""
        return Preset.model_validate({**self.of(model_id).saved(), **changes})

    def change(self, model_id: str, changes: Mapping[str, Any]) -> Preset:
        """Save these changes, of which null removes a value; blocking. Raises ValidationError, PresetNotSaved."""
        with self._lock:
            preset = self.merged(model_id, changes)
            self._save(model_id, preset)
            return preset

    def remove(self, model_id: str) -> bool:
        """Remove the preset of a model; blocking. False when there is none. Raises PresetNotSaved."""
        with self._lock:
            is_there = names.key(model_id) in self._presets
            if is_there:
                self._save(model_id, _NONE)
            return is_there

    def _save(self, model_id: str, preset: Preset) -> None:
        presets = {key: one for key, one in self._presets.items() if key != names.key(model_id)}
        if preset != _NONE:
            presets[names.key(model_id)] = preset
        saved = {"presets": {key: one.saved() for key, one in sorted(presets.items())}}
        data = json.dumps(saved, indent=2).encode() + b"\n"
        if len(data) > MAX_FILE_BYTES:
            raise InvalidRequest(
                "The presets are too large",
                f"body: all presets together exceed {MAX_FILE_BYTES} bytes. Remove presets of other models.",
            )
        try:
            write_atomically(self._path, data, mode=0o600)  # a system prompt may be private
        except OSError as error:
            log.error("Cannot save the presets: %s", error.strerror)
            raise PresetNotSaved(error.strerror or "the disk refused") from None
        self._presets = presets

    # --- the saved file ---------------------------------------------------------------------------------

    def _load(self) -> dict[str, Preset]:
        try:
            if self._path.is_symlink():
                raise ValueError("it is a symbolic link")
            with self._path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                raise ValueError("it is too large")
            saved = json.loads(data)["presets"]
            return {
                names.key(str(key)): Preset.model_validate(_without_unknown(str(key), one))
                for key, one in saved.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            self._set_aside(_reason(error))
            return {}

    def _set_aside(self, reason: str) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self._path.with_name(f"{self._path.stem}.corrupt-{stamp}")
        try:
            self._path.replace(aside)
            where = f"they were set aside as {aside.name}"
        except OSError as error:
            where = f"they could not be set aside ({error.strerror})"
        log.error("Cannot read the saved presets (%s); %s and no preset is in force", reason, where)


def _without_unknown(key: str, preset: Mapping[str, Any]) -> dict[str, Any]:
    """The values that this version knows: another one, used before with this home, may have saved more."""
    unknown = sorted(name for name in preset if name not in Preset.model_fields)
    if unknown:
        log.warning(
            "Ignored values of the preset of %s that FoundryLocal %s does not know: %s",
            key,
            __version__,
            ", ".join(unknown)[:MAX_SHOWN_CHARS],
        )
    return {name: value for name, value in preset.items() if name in Preset.model_fields}


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return str(error) if isinstance(error, ValueError) else "it does not have the form of presets"
