"""The owner of the settings: command line over environment over saved file over default.

Invariant: what is on disk always parses, or is set aside and the defaults are used.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from foundrylocal.errors import ConfigurationUpdateFailed, InvalidConfiguration
from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically
from foundrylocal.settings import exposure
from foundrylocal.settings.schema import FILE_ONLY_SETTINGS, WITH_TEXT, Settings

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

_MAX_BYTES = 256 * 1024


def describe(error: ValidationError) -> str:
    """One line for each field that is wrong: `port: Input should be a valid integer`."""
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in item["loc"]) or "body"
        lines.append(f"{field}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(lines[:10])


def _from_environment() -> dict[str, str]:
    found = {name: os.environ.get(f"FOUNDRYLOCAL_{name.upper()}") for name in Settings.model_fields}
    return {name: value for name, value in found.items() if value}


class SettingsStore:
    """Reads once, keeps the effective settings in `current`, and saves what POST /config changes."""

    def __init__(self, folder: Path, command_line: Mapping[str, Any] | None = None) -> None:
        self._path = folder / "config.json"
        given = {name: value for name, value in (command_line or {}).items() if value is not None}
        self._overrides: dict[str, Any] = {**_from_environment(), **given}
        self._lock = threading.Lock()  # updates come from threads, since they wait for the disk
        self._listeners: list[Callable[[Settings], None]] = []
        sweep_leftovers(self._path)
        self._saved = self._load()
        try:
            self.current = Settings.model_validate({**self._saved, **self._overrides}, context=WITH_TEXT)
        except ValidationError as error:
            raise InvalidConfiguration(
                "A setting of the command line or the environment is not valid", describe(error)
            ) from None

        self._listens_on = self.current.api_host

    @property
    def overridden(self) -> list[str]:
        """The settings that the environment or the command line decides, whatever is saved."""
        return sorted(self._overrides)

    def on_change(self, listener: Callable[[Settings], None]) -> None:
        """Call `listener` with the new settings after each change."""
        self._listeners.append(listener)

    def _load(self) -> dict[str, Any]:
        try:
            if self._path.is_symlink():
                raise ValueError("it is a symbolic link")
            if not self._path.exists():
                return {}
            with self._path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
            if len(data) > _MAX_BYTES:
                raise ValueError("it is too large")
            saved = json.loads(data)
            if not isinstance(saved, dict):
                raise ValueError("it holds no object")
            Settings.model_validate(
                saved, strict=True
            )  # as POST /config will: what it refuses must not lie here
            return saved
        except (OSError, ValueError, RecursionError) as error:
            self._set_aside(describe(error) if isinstance(error, ValidationError) else str(error))
            return {}

    def _set_aside(self, reason: str) -> None:
        aside = self._path.with_name(f"config.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        try:
            self._path.replace(aside)
            where = f"it was set aside as {aside.name}"
        except OSError as error:
            where = f"it could not be set aside ({error.strerror})"
        log.error("The saved configuration cannot be read (%s); %s and the defaults are used", reason, where)

    def update(self, changes: Mapping[str, Any], *, reset: bool = False) -> Settings:
        """Validate, save, then use `changes`; blocking. Raises InvalidConfiguration, ConfigurationUpdateFailed.

        What the environment or the command line sets stays in force over what is saved here.
        """
        with self._lock:
            return self._update(changes, reset)

    def _update(self, changes: Mapping[str, Any], reset: bool) -> Settings:
        refused = FILE_ONLY_SETTINGS & changes.keys()
        if refused:
            name = sorted(refused)[0]
            raise InvalidConfiguration(
                "A setting cannot be changed over HTTP",
                f"{name}: set it as FOUNDRYLOCAL_{name.upper()} in the environment of the service.",
            )
        kept = {name: self._saved[name] for name in FILE_ONLY_SETTINGS & self._saved.keys()}
        base = kept if reset else self._saved
        saved = {**base, **changes}
        try:
            checked = Settings.model_validate(saved, strict=True)
            effective = Settings.model_validate({**saved, **self._overrides}, context=WITH_TEXT)
        except ValidationError as error:
            raise InvalidConfiguration("The configuration is not valid", describe(error)) from None
        self._check_exposure(changes, effective)
        if "cache_dir" in changes:
            self._check_folder(checked.cache_dir)
        try:
            text = json.dumps(saved, indent=2, sort_keys=True)
            write_atomically(self._path, text.encode() + b"\n", mode=0o600)
        except OSError as error:
            log.error("The configuration could not be saved: %s", error.strerror)
            raise ConfigurationUpdateFailed from None
        hidden = sorted(self._overrides.keys() & changes.keys())
        if hidden:
            log.warning("Saved, but the environment or the command line still decides: %s", ", ".join(hidden))
        self._saved, self.current = saved, effective
        for listener in self._listeners:
            listener(effective)
        return effective

    def _check_exposure(self, changes: Mapping[str, Any], effective: Settings) -> None:
        """Neither the next start nor this run may be open to others without a key, nor fail for its address."""
        for name in exposure.HOST_SETTINGS & changes.keys():
            if (reason := exposure.unusable_reason(changes[name])) is not None:
                raise InvalidConfiguration("The address cannot be used", f"{name}: {reason}")
        problem = exposure.exposure_problem(effective)
        if (
            problem is None
            and effective.management_key is None
            and not exposure.is_loopback(self._listens_on)
        ):
            problem = f"management_key: this service listens on '{self._listens_on}', where others reach it."
        if problem is not None:
            raise InvalidConfiguration("The service would be open to others without a key", problem)

    def _check_folder(self, path: str) -> None:
        """A cache folder is one that can be created and written."""
        folder = Path(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".foundrylocal-write-test-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise InvalidConfiguration(
                "The cache folder cannot be used", f"cache_dir: {error.strerror or 'it cannot be written'}"
            ) from None
