"""The doctor without a running service: it reads the settings as a service would, and changes nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from pydantic import ValidationError

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from foundrylocal.catalog.starter import STARTER_MODEL
from foundrylocal.doctor.engine import LOAD_TIMEOUT_S
from foundrylocal.doctor.finding import Finding, error, ok
from foundrylocal.doctor.runner import Check, Checked, run_checks
from foundrylocal.doctor.standard import Subject, standard_checks
from foundrylocal.doctor.starter import load_seconds
from foundrylocal.engine.engines import Engines
from foundrylocal.engine.llama_cpp.capabilities import EngineDevices
from foundrylocal.engine.llama_cpp.engine import BuiltInEngine
from foundrylocal.engine.local.launcher import LocalLauncher
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.errors import InvalidConfiguration
from foundrylocal.home.folders import Folders
from foundrylocal.pool.trial import launch_where_free, trial_replica
from foundrylocal.settings.schema import Settings
from foundrylocal.settings.sources import describe, from_environment, layered

_MB = 1024 * 1024
_MAX_FILE_BYTES = 256 * 1024


async def examine() -> list[Checked]:
    """The results of all checks, and one of the saved settings."""
    folders = Folders.locate()
    settings, finding = await anyio.to_thread.run_sync(read_settings, folders.config)
    starter, library = Registry.load().find(STARTER_MODEL), Library(Path(settings.cache_dir))

    async def look() -> Finding:
        return finding

    subject = Subject(
        folders=folders,
        settings=settings,
        starter=starter,
        load_starter=lambda: load_seconds(library, starter, partial(_launch, settings)),
        devices=EngineDevices().list,
    )
    return await run_checks([Check("settings", look), *standard_checks(subject)])


def read_settings(folder: Path) -> tuple[Settings, Finding]:
    """The settings that a service would use, and whether what is saved or in the environment is valid. Blocking."""
    try:
        environment = from_environment()
        layered({}, environment)
    except (InvalidConfiguration, ValidationError) as failure:
        reason = describe(failure) if isinstance(failure, ValidationError) else failure.details
        return layered({}, {}), error(
            f"A FOUNDRYLOCAL_ variable of the environment is not valid: {reason}.", "Correct or unset it."
        )
    path = folder / "config.json"
    try:
        settings = layered(_saved(path), environment)
    except (OSError, ValueError, RecursionError) as failure:
        reason = describe(failure) if isinstance(failure, ValidationError) else str(failure)
        return layered({}, environment), error(
            f"The saved settings in {path} cannot be used: {reason}.",
            "Correct the file or remove it; the service sets it aside and uses the defaults.",
        )
    return settings, ok("The settings are valid.")


def _saved(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    with path.open("rb") as file:
        saved = json.loads(file.read(_MAX_FILE_BYTES))
    if not isinstance(saved, dict):
        raise ValueError("it is not a JSON object")
    return saved


@asynccontextmanager
async def _launch(settings: Settings, spec: ReplicaSpec) -> AsyncIterator[Address]:
    """A launcher of its own for the duration of the block."""
    with tempfile.TemporaryDirectory(prefix="foundrylocal-doctor-") as folder:
        launcher = LocalLauncher(Path(folder), Engines(BuiltInEngine(settings.worker_command)))
        async with anyio.create_task_group() as group:
            await group.start(launcher.run)
            try:
                launch = partial(launch_where_free, launcher, settings.memory_reserve_mb * _MB)
                async with trial_replica(launcher, launch, spec, LOAD_TIMEOUT_S) as address:
                    yield address
            finally:
                group.cancel_scope.cancel()
