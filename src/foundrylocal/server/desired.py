"""What the server is to serve, kept in the state folder: a service that was killed and started again goes on with it.

The owner of that file. Invariants: it is there while the server runs, and gone once it has been stopped on purpose; a
file that cannot be read or written costs the resumption alone.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically
from foundrylocal.wire.load_options import LoadOptions

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

FILE_NAME: Final = "desired.json"
MAX_FILE_BYTES: Final = 64 * 1024


class Desired(BaseModel):
    """The server's own model, the options that it was started with, and the gateway's port."""

    model_config = ConfigDict(frozen=True)

    model_id: str
    port: int = Field(ge=1, le=65535)
    health_period_s: float = Field(2.0, gt=0)
    options: LoadOptions = LoadOptions()


class DesiredFile:
    """Reads and writes it."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME

    async def read(self) -> Desired | None:
        """What a service before this one was serving when it ended without a stop; None when it served nothing."""
        return await anyio.to_thread.run_sync(self._read)

    def _read(self) -> Desired | None:
        sweep_leftovers(self._path)
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            return Desired.model_validate_json(data) if len(data) <= MAX_FILE_BYTES else None
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning("%s cannot be read, so nothing is resumed: %s", FILE_NAME, type(error).__name__)
            return None

    async def write(self, desired: Desired) -> None:
        """Keep this from now on."""
        data = desired.model_dump_json(exclude_none=True).encode()
        try:
            await anyio.to_thread.run_sync(lambda: write_atomically(self._path, data, mode=0o600))
        except OSError as error:
            log.warning("%s cannot be written: after a crash, nothing resumes: %s", FILE_NAME, error.strerror)

    async def clear(self) -> None:
        """Nothing is to be served any more."""
        try:
            await anyio.to_thread.run_sync(lambda: self._path.unlink(missing_ok=True))
        except OSError as error:
            log.warning("%s cannot be removed: %s", FILE_NAME, error.strerror)
