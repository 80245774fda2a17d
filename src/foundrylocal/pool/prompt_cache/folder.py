"""The folder with the saved prompts and the list of them.

Invariant: nobody but the user can enter it. A file that is not listed is removed when the service starts and ends, so
that an interrupted save leaves nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

import msgspec

from foundrylocal.kit.atomic_file import sync_folder, write_atomically
from foundrylocal.pool.prompt_cache.saved_prompt import Index, read_index

log = logging.getLogger("foundrylocal.FoundryLocalService")

INDEX = "index.json"
MAX_INDEX_BYTES = 16 * 1024 * 1024
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


class PromptFolder:
    """Its calls block on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Make it, or make an existing one private. Raises OSError, also when a link is in its place."""
        if self.path.is_symlink():
            raise NotADirectoryError(20, "a link is in its place")
        self.path.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        if sys.platform != "win32":
            self.path.chmod(_PRIVATE_FOLDER)

    def free_bytes(self) -> int:
        """What is free on its disk. Raises OSError."""
        return shutil.disk_usage(self.path).free

    def sizes(self) -> dict[str, int]:
        """The files in it with their sizes; empty when it cannot be read."""
        if self.path.is_symlink():
            return {}
        try:
            return {one.name: one.lstat().st_size for one in self.path.iterdir() if not one.is_dir()}
        except OSError:
            return {}

    def settle(self, temporary: str, name: str) -> None:
        """Give a complete file its final name, so that it survives a power failure. Raises OSError."""
        path = self.path / temporary
        with path.open("rb+") as file:
            if sys.platform != "win32":
                os.fchmod(file.fileno(), _PRIVATE_FILE)
            os.fsync(file.fileno())
        path.replace(self.path / name)
        sync_folder(self.path)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("A saved prompt cannot be removed: %s", error.strerror)

    def remove_all_but(self, names: Collection[str]) -> None:
        """Remove all other files, and the folder itself when it is empty then."""
        for name in self.sizes().keys() - set(names):
            self.remove(name)
        with contextlib.suppress(OSError):
            if not self.path.is_symlink():
                self.path.rmdir()

    def load_index(self) -> Index:
        """The list, or an empty one when it is missing or damaged."""
        try:
            with (self.path / INDEX).open("rb") as file:
                return read_index(file.read(MAX_INDEX_BYTES))
        except FileNotFoundError:
            return Index()
        except (OSError, ValueError) as error:
            log.warning(
                "The list of saved prompts cannot be read (%s): they are removed", type(error).__name__
            )
            return Index()

    def save_index(self, index: Index) -> None:
        """Write the list. A failure is logged: what is not listed is removed at the next start."""
        try:
            write_atomically(self.path / INDEX, msgspec.json.encode(index), mode=_PRIVATE_FILE)
        except OSError as error:
            log.warning("The list of saved prompts cannot be written: %s", error.strerror)
