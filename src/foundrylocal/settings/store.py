"""The owner of the settings: it merges their sources and saves what POST /config changes.

Invariant: the saved file always parses; a damaged one is set aside and the defaults are used.
"""

from __future__ import annotations

import contextlib
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
from foundrylocal.settings import exposure, saved_file
from foundrylocal.settings.schema import FILE_ONLY_SETTINGS, Settings
from foundrylocal.settings.sources import describe, from_environment, layered

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

COMMAND_LINE = "command line"


class SettingsStore:
    """Reads its sources once, keeps the effective settings in `current`, and saves updates."""

    def __init__(self, folder: Path, command_line: Mapping[str, Any] | None = None) -> None:
        self._path = folder / saved_file.NAME
        given = {name: value for name, value in (command_line or {}).items() if value is not None}
        by_environment = from_environment()
        self._overrides: dict[str, Any] = {**by_environment, **given}
        self._overriders = {name: f"FOUNDRYLOCAL_{name.upper()}" for name in by_environment} | dict.fromkeys(
            given, COMMAND_LINE
        )
        self._lock = threading.Lock()  # updates run in threads, since they wait for the disk
        self._listeners: list[Callable[[Settings], None]] = []
        sweep_leftovers(self._path)
        self._stamp = saved_file.stamp_of(self._path)
        self._saved = self._load()
        try:
            self.current = layered(self._saved, self._overrides)
        except ValidationError as error:
            raise InvalidConfiguration(
                "A setting from the command line or the environment is not valid",
                f"{describe(error)} Correct {self._places_of(error)}, then start the service again.",
            ) from None
        self._listens_on = self.current.api_host

    def _places_of(self, error: ValidationError) -> str:
        """Where the settings that are not valid were given."""
        names = dict.fromkeys(str(item["loc"][0]) for item in error.errors() if item["loc"])
        places = [self._overriders[name] for name in names if name in self._overriders]
        words = [f"the {place}" if place == COMMAND_LINE else place for place in dict.fromkeys(places)]
        return ", ".join(words) or "it"

    @property
    def overridden(self) -> dict[str, str]:
        """What determines a setting whatever is saved: the name of an environment variable, or the command line."""
        return dict(sorted(self._overriders.items()))

    def on_change(self, listener: Callable[[Settings], None]) -> None:
        """Call `listener` with the new settings after each change."""
        self._listeners.append(listener)

    # --- the saved file ---------------------------------------------------------------------------------

    def _load(self) -> dict[str, Any]:
        try:
            return saved_file.read_saved(self._path)
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
        log.error("Cannot read the saved configuration (%s); %s and the defaults are used", reason, where)

    def _save(self, saved: Mapping[str, Any]) -> None:
        data = saved_file.encode_saved(saved)
        if len(data) > saved_file.MAX_FILE_BYTES:
            raise InvalidConfiguration(
                "The configuration is not valid",
                f"body: all settings together exceed {saved_file.MAX_FILE_BYTES} bytes.",
            )
        try:
            write_atomically(self._path, data, mode=0o600)
        except OSError as error:
            log.error("Cannot save the configuration: %s", error.strerror)
            raise ConfigurationUpdateFailed from None
        self._stamp = saved_file.stamp_of(self._path)

    def refresh(self) -> Settings:
        """The settings, with what the command line changed in the file since it was read; blocking."""
        if saved_file.stamp_of(self._path) != self._stamp:
            with self._lock:
                self._take_up_file_only()
        return self.current

    def _take_up_file_only(self) -> None:
        """Only settings that HTTP cannot change are taken up: of the others the service is the only writer."""
        stamp = saved_file.stamp_of(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            found = saved_file.read_saved(self._path)
            kept = {name: value for name, value in self._saved.items() if name not in FILE_ONLY_SETTINGS}
            saved = {**kept, **{name: found[name] for name in FILE_ONLY_SETTINGS & found.keys()}}
            effective = layered(saved, self._overrides)
        except (OSError, ValueError, RecursionError) as error:
            log.warning(
                "The saved configuration was changed and cannot be read (%s); the current settings stay in use",
                error,
            )
            return
        self._saved, self.current = saved, effective

    # --- updates ----------------------------------------------------------------------------------------

    def update(self, changes: Mapping[str, Any], *, reset: bool = False) -> Settings:
        """Validate, save, then apply `changes`; blocking. Raises InvalidConfiguration, ConfigurationUpdateFailed.

        Settings from the environment or the command line keep overriding what is saved here.
        """
        with self._lock, contextlib.ExitStack() as stack:
            try:
                stack.enter_context(saved_file.locked(self._path))
            except OSError as error:
                log.error("Cannot lock the saved configuration: %s", error.strerror or error)
                raise ConfigurationUpdateFailed from None
            self._take_up_file_only()
            return self._update(changes, reset)

    def _update(self, changes: Mapping[str, Any], reset: bool) -> Settings:
        _refuse_file_only(changes)
        kept = {name: self._saved[name] for name in FILE_ONLY_SETTINGS & self._saved.keys()}
        saved = {**(kept if reset else self._saved), **changes}
        try:
            checked = Settings.model_validate(saved, strict=True)
            effective = layered(saved, self._overrides)
        except ValidationError as error:
            raise InvalidConfiguration("The configuration is not valid", describe(error)) from None
        self._check_exposure(changes, effective)
        if "cache_dir" in changes:
            _check_writable(Path(checked.cache_dir))
        self._save(saved)
        hidden = sorted(self._overrides.keys() & changes.keys())
        if hidden:
            log.warning("Saved, but the environment or the command line overrides: %s", ", ".join(hidden))
        self._saved, self.current = saved, effective
        for listener in self._listeners:
            listener(effective)
        return effective

    def _check_exposure(self, changes: Mapping[str, Any], effective: Settings) -> None:
        """Neither this run nor the next may be reachable without a key, nor may the next one fail to bind."""
        for name in exposure.HOST_SETTINGS & changes.keys():
            if (reason := exposure.unusable_reason(changes[name])) is not None:
                raise InvalidConfiguration("The address cannot be used", f"{name}: {reason}")
        problem = exposure.exposure_problem(effective)
        if (
            problem is None
            and effective.management_key is None
            and not exposure.is_loopback(self._listens_on)
        ):
            problem = f"management_key: this service listens on '{self._listens_on}', which other machines can reach."
        if problem is not None:
            raise InvalidConfiguration("The service would be reachable by others without a key", problem)


def _refuse_file_only(changes: Mapping[str, Any]) -> None:
    for name in sorted(FILE_ONLY_SETTINGS & changes.keys()):
        raise InvalidConfiguration(
            "This setting cannot be changed over HTTP",
            f"{name}: set FOUNDRYLOCAL_{name.upper()} in the environment of the service instead.",
        )


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".foundrylocal-write-test-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise InvalidConfiguration(
            "The cache folder cannot be used", f"cache_dir: {error.strerror or 'it is not writable'}"
        ) from None
