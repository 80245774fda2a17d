"""Checks whether a file is the published one: size and sha256, computed off the event loop.

Invariant: every loop here ends soon after the task that waits for it is cancelled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import anyio.from_thread

from foundrylocal.catalog.registry import SourceFile
from foundrylocal.errors import ChecksumMismatch, DownloadFailed

CHUNK_BYTES = 1024 * 1024


class Hasher(Protocol):
    """The methods of hashlib's objects that are used here."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


def new_hasher() -> Hasher:
    return hashlib.sha256()


def hash_into(hasher: Hasher, path: Path, *, on_bytes: Callable[[int], None] | None = None) -> int:
    """Add a whole file to a hash; returns the bytes read. Runs in an anyio worker thread; raises OSError."""
    count = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            anyio.from_thread.check_cancelled()
            hasher.update(chunk)
            count += len(chunk)
            if on_bytes is not None:
                on_bytes(count)
    return count


def hash_file(path: Path, *, on_bytes: Callable[[int], None] | None = None) -> str:
    """The sha256 of a file, in hex. Runs in an anyio worker thread; raises OSError."""
    hasher = new_hasher()
    hash_into(hasher, path, on_bytes=on_bytes)
    return hasher.hexdigest()


def require(published: SourceFile, size_bytes: int, sha256: str) -> None:
    """Compare a fetched file with the published one; raises ChecksumMismatch or DownloadFailed."""
    name = published.path.rpartition("/")[2]
    if published.sha256 is not None and sha256 != published.sha256.lower():
        raise ChecksumMismatch(name, published.sha256, sha256)
    if published.size_bytes is not None and size_bytes != published.size_bytes:
        raise DownloadFailed(f"File '{name}' has {size_bytes} bytes instead of {published.size_bytes}.")
