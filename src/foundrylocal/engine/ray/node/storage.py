"""Where the head keeps what it knows of the cluster: in memory, on disk, or in Redis.

Invariant: no password of Redis is taken, because Ray would hand it to its processes as an argument.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_FOLDER = "cluster-storage"


class UnusableStorage(ValueError):
    """Why the head cannot keep its state there, with the next step."""

    def __init__(self, reason: str, action: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.action = action


@dataclass(frozen=True, slots=True)
class Storage:
    """`environment` makes Ray use it; `folder` is where it is on disk. Without either it is in memory."""

    environment: dict[str, str]
    folder: Path | None = None

    @property
    def is_kept(self) -> bool:
        """Whether a head that starts again still knows the cluster."""
        return bool(self.environment)


def storage_folder(state: Path) -> Path:
    """The folder of `--storage disk`."""
    return state / _FOLDER


def parse_storage(text: str, state: Path) -> Storage:
    """`memory`, `disk` or `redis://HOST:PORT`. Raises UnusableStorage."""
    if text == "memory":
        return Storage({})
    if text == "disk":
        folder = storage_folder(state)
        return Storage({"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder)}, folder)
    return _redis(text, state)


def _redis(text: str, state: Path) -> Storage:
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not port:
        raise UnusableStorage(
            f"'{parts.scheme or text[:40]}' is not a storage.", "Use memory, disk, or redis://HOST:PORT."
        )
    if parts.username or parts.password:
        raise UnusableStorage(
            "Ray would pass the password to its processes as an argument, which every user of the machine can read.",
            "Use a Redis without a password that only the head's machine reaches, or --storage disk.",
        )
    namespace = hashlib.sha256(str(state).encode()).hexdigest()[:16]
    address = f"{parts.hostname}:{port}"
    return Storage(
        {
            "RAY_REDIS_ADDRESS": f"rediss://{address}" if parts.scheme == "rediss" else address,
            "RAY_external_storage_namespace": f"foundrylocal-{namespace}",
        }
    )
