"""Where a model's files go: collected in `partial`, then moved to `folder`, both in one cache folder.

Invariant: below the cache folder no link is followed, in any component of the path.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from dataclasses import dataclass
from pathlib import Path

from foundrylocal.catalog import folders, names


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one model; either may not exist yet."""

    cache_dir: Path
    partial: Path
    folder: Path

    @classmethod
    def of(cls, cache_dir: Path, model_id: str) -> Place:
        organization, name = names.folder_parts(model_id)
        return cls(cache_dir, *(cache_dir / kind / organization / name for kind in ("partial", "models")))

    @property
    def is_own(self) -> bool:
        """Whether no link leads to the stored files."""
        return first_link(self.cache_dir, self.folder) is None

    def require_own(self) -> None:
        """Raise NotADirectoryError if a component of the path to either folder is a link."""
        for path in (self.folder, self.partial):
            link = first_link(self.cache_dir, path)
            if link is not None:
                raise NotADirectoryError(errno.ENOTDIR, f"'{link.name}' in the cache folder is a link")

    def partial_bytes(self) -> int:
        """Bytes of an unfinished download that are already on disk; 0 if they cannot be read."""
        try:
            return sum(path.lstat().st_size for path in self.partial.iterdir())
        except OSError:
            return 0

    def clear_partial(self) -> int:
        """Remove the partial download; the bytes that became free. Raises OSError."""
        if not self.partial.exists():
            return 0
        self.require_own()
        collected = [path for path in self.partial.rglob("*") if path.is_file() and not path.is_symlink()]
        freed = sum(found.st_size for path in collected if (found := path.lstat()).st_nlink <= 1)
        shutil.rmtree(self.partial)
        return freed

    def try_to_clear_partial(self) -> None:
        """Remove the partial download if possible; the next start sweeps any leftover."""
        with contextlib.suppress(OSError):
            self.clear_partial()


def first_link(root: Path, path: Path) -> Path | None:
    """The first link on the path from `root` down to `path`; `root` itself may be one."""
    for part in path.relative_to(root).parts:
        root = root / part
        if folders.is_link(root):
            return root
    return None
