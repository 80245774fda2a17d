"""The name under which this home's replicas live on a cluster, so that a service finds its own after a restart.

Invariant: it is made once for each home and never changes; two homes never have the same.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from foundrylocal.kit.atomic_file import write_atomically

FILE_NAME = "cluster-namespace"
_FORMAT = re.compile(r"foundrylocal-[0-9a-f]{16}")


def load_or_make_namespace(state_dir: Path) -> str:
    """The namespace of this home; blocks on the disk and raises OSError."""
    path = state_dir / FILE_NAME
    try:
        namespace = path.read_text("utf-8", "replace").strip()
    except FileNotFoundError:
        namespace = ""
    if not _FORMAT.fullmatch(namespace):
        namespace = f"foundrylocal-{secrets.token_hex(8)}"
        write_atomically(path, namespace.encode() + b"\n", mode=0o600)
    return namespace
