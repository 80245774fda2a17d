"""The command line of `ray start`: what a node offers, and what it does not start.

Invariant: nothing secret is in it.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundrylocal.engine.node import NodeVersions
from foundrylocal.engine.ray.node.address import HeadAddress

VERSION_LABEL = "foundrylocal-version"
PYTHON_LABEL = "python-version"
RAY_LABEL = "ray-version"
GPU_LABEL = "gpu-memory-mb"
# Models never pass through Ray's object store; Ray does not start with less.
_OBJECT_STORE_BYTES = 80 * 1024 * 1024
_MB = 1024 * 1024
# A label has at most 63 characters.
MAX_LABELED_GPUS = 8
_NO_LABEL_CHARACTER = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class NodeOffer:
    """A node's own address, and what it offers to models: with `gpus` None, those that it has.

    `gpu_bytes` is the memory of each GPU that an engine of this node sees.
    """

    address: str
    memory_bytes: int
    gpus: int | None = None
    gpu_bytes: tuple[int, ...] = ()


def head_command(offer: NodeOffer, head: HeadAddress, state: Path, versions: NodeVersions) -> list[str]:
    """`ray start` of the head: no dashboard, no autoscaler."""
    return [
        *_start(offer, state, versions),
        "--head",
        f"--port={head.port}",
        "--include-dashboard=false",
        "--no-monitor",
    ]


def join_command(offer: NodeOffer, head: HeadAddress, state: Path, versions: NodeVersions) -> list[str]:
    """`ray start` of a further node."""
    return [*_start(offer, state, versions), f"--address={head}"]


def labeled_gpus(labels: Mapping[str, str]) -> tuple[int, ...]:
    """The memory of each GPU by a node's label, in bytes; none when there is no label that can be read."""
    numbers = labels.get(GPU_LABEL, "").split(".")
    if not all(number.isdecimal() for number in numbers):
        return ()
    return tuple(int(number) * _MB for number in numbers)


def _gpu_label(gpu_bytes: Sequence[int]) -> str:
    return ".".join(str(one // _MB) for one in gpu_bytes[:MAX_LABELED_GPUS])


def session_folder(state: Path) -> Path:
    """Where Ray keeps its sockets and logs of this home; short, since the path of a socket has at most 107 bytes."""
    name = hashlib.sha256(str(state).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"fl-ray-{name}"


def _start(offer: NodeOffer, state: Path, versions: NodeVersions) -> list[str]:
    labels = {
        VERSION_LABEL: versions.foundrylocal,
        PYTHON_LABEL: versions.python,
        RAY_LABEL: versions.ray,
        GPU_LABEL: _gpu_label(offer.gpu_bytes),
    }
    shown = ",".join(
        f"{name}={_NO_LABEL_CHARACTER.sub('_', value)}" for name, value in labels.items() if value
    )
    return [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--block",
        f"--node-ip-address={offer.address}",
        f"--memory={offer.memory_bytes}",
        f"--object-store-memory={_OBJECT_STORE_BYTES}",
        f"--labels={shown}",
        f"--temp-dir={session_folder(state)}",
        "--include-log-monitor=false",
        "--disable-usage-stats",
        *(() if offer.gpus is None else (f"--num-gpus={offer.gpus}",)),
    ]
