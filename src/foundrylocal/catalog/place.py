"""Where a model's files go: gathered in `partial`, then moved to `folder`, both in one cache folder.

Invariant: below the cache folder no link is followed, in whatever part of the way it stands.
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
    """The folders of one model; either may not be there yet."""

    cache_dir: Path
    partial: Path
    folder: Path

    @classmethod
    def of(cls, cache_dir: Path, model_id: str) -> Place:
        organisation, name = names.folder_parts(model_id)
        return cls(cache_dir, *(cache_dir / kind / organisation / name for kind in ("partial", "models")))

    @property
    def is_own(self) -> bool:
        """Whether the stored files are where they seem to be, and not behind a link."""
        return first_link(self.cache_dir, self.folder) is None

    def require_own(self) -> None:
        """Raises NotADirectoryError when a part of the way to either folder is a link."""
        for path in (self.folder, self.partial):
            link = first_link(self.cache_dir, path)
            if link is not None:
                raise NotADirectoryError(errno.ENOTDIR, f"'{link.name}' in the cache folder is a link")

    def partial_bytes(self) -> int:
        """Bytes of an unfinished download that are on disk already; what cannot be read counts as nothing."""
        try:
            return sum(path.lstat().st_size for path in self.partial.iterdir())
        except OSError:
            return 0

    def clear_partial(self) -> int:
        """Remove what was gathered; the bytes that became free. Raises OSError."""
        if not self.partial.exists():
            return 0
        self.require_own()
        gathered = [path for path in self.partial.rglob("*") if path.is_file() and not path.is_symlink()]
        freed = sum(found.st_size for path in gathered if (found := path.lstat()).st_nlink <= 1)
        shutil.rmtree(self.partial)
        return freed

    def try_to_clear_partial(self) -> None:
        """The same where a leftover does no harm: the next start sweeps it."""
        with contextlib.suppress(OSError):
            self.clear_partial()


def first_link(root: Path, path: Path) -> Path | None:
    """The first part of the way from `root` down to `path` that is a link; `root` itself may be one."""
    for part in path.relative_to(root).parts:
        root = root / part
        if folders.is_link(root):
            return root
    return None
