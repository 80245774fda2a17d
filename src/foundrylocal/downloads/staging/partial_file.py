"""A file that arrives in pieces over several attempts, with a note of the version that the pieces belong to.

Invariant: `<name>.part` contains the first bytes of the version in `<name>.part.json` and nothing else. Bytes are
written without buffering, so that a killed process loses none that it counted.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foundrylocal.downloads.hub_child.messages import Failure
from foundrylocal.kit.atomic_file import write_atomically

CHUNK_BYTES = 256 * 1024
MAX_QUEUED_PIECES = 32


def note_finished(final: Path, sha256: str) -> None:
    """Record that a file is complete and verified, so that a later attempt keeps it."""
    found = final.stat()
    note = {"finished": [found.st_size, found.st_mtime_ns], "sha256": sha256}
    write_atomically(final.with_name(f"{final.name}.part.json"), json.dumps(note).encode())


class _ThreadHasher:
    """sha256 in its own thread, a few pieces behind, so that on two cores it takes no extra time."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pieces: queue.Queue[bytes | None] = queue.Queue(MAX_QUEUED_PIECES)
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._hash.update(piece)

    def update(self, piece: bytes) -> None:
        self._pieces.put(piece)

    def hexdigest(self) -> str:
        """Finish; returns the digest of all pieces."""
        self._pieces.put(None)
        self._thread.join()
        return self._hash.hexdigest()


class PartialFile:
    """One file in progress; `size_bytes` were received, `is_resumed` says whether an earlier attempt began it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.final = folder / name
        self._part = folder / f"{name}.part"
        self._note = folder / f"{name}.part.json"
        self._hasher: _ThreadHasher
        self._file: Any = None
        self.size_bytes = 0
        self.is_resumed = False

    def finished(self) -> str | None:
        """The sha256 of the file if an earlier attempt completed it and it is unchanged, else None."""
        try:
            found, note = self.final.stat(), json.loads(self._note.read_bytes())
        except (OSError, ValueError):
            return None
        if isinstance(note, dict) and note.get("finished") == [found.st_size, found.st_mtime_ns]:
            return str(note["sha256"])
        return None

    def open(self, version: str, max_bytes: int | None, heartbeat: Callable[[], None]) -> None:
        """Resume with the bytes of this version, hashing them again, or start over."""
        self._part.parent.mkdir(parents=True, exist_ok=True)
        if not self._is_of(version, max_bytes):
            self._part.unlink(missing_ok=True)
            write_atomically(self._note, json.dumps({"version": version}).encode())
        self._hasher = _ThreadHasher()
        self._file = self._part.open("ab+", buffering=0)
        self._file.seek(0)
        reported_s = time.monotonic()
        while data := self._file.read(CHUNK_BYTES):
            self._hasher.update(data)
            self.size_bytes += len(data)
            if time.monotonic() - reported_s > 1:
                reported_s = time.monotonic()
                heartbeat()
        self.is_resumed = self.size_bytes > 0

    def _is_of(self, version: str, max_bytes: int | None) -> bool:
        try:
            note = json.loads(self._note.read_bytes())
            size = self._part.stat().st_size
        except (OSError, ValueError):
            return False
        is_same = isinstance(note, dict) and note.get("version") == version
        return is_same and (max_bytes is None or size <= max_bytes)

    def write(self, data: bytes) -> None:
        """Append bytes; raises OSError."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self.size_bytes += written
            view = view[written:]
        self._hasher.update(data)

    def restart(self) -> None:
        """Discard the bytes and start over."""
        os.ftruncate(self._file.fileno(), 0)
        self._hasher.hexdigest()
        self._hasher = _ThreadHasher()
        self.size_bytes = 0
        self.is_resumed = False

    def discard(self) -> None:
        """Remove all files, so that the next attempt starts clean."""
        self.close()
        self._part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, expected_sha256: str | None) -> str:
        """Check the complete file and give it its final name; returns its sha256. Raises Failure `mismatch`."""
        sha256 = self._hasher.hexdigest()
        was_resumed = self.is_resumed
        if expected_sha256 is not None and sha256 != expected_sha256:
            self.discard()
            raise Failure(
                "mismatch",
                "The file differs from the published one.",
                # Bytes of an earlier attempt may be wrong; a file fetched in one piece would be the same again.
                may_retry=was_resumed,
                expected=expected_sha256,
                actual=sha256,
                name=self.final.name,
            )
        # The note is trusted without reading the bytes, so it must not reach the disk before them.
        os.fsync(self._file.fileno())
        self.close()
        self._part.replace(self.final)
        note_finished(self.final, sha256)
        return sha256

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
