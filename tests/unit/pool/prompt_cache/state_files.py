"""State files as llama.cpp writes them, with any tokens and a state of zeros, and threads as the store needs them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import anyio

from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.pool.prompt_cache.store import SAVING_SUFFIX, WrittenSlot
from foundrylocal.wire.load_options import EffectiveOptions

T = TypeVar("T")
MAGIC = 0x67677371
MODEL_ID = "org/model"


def state_bytes(tokens: Sequence[int], state: bytes = bytes(1000)) -> bytes:
    return struct.pack(f"<3I{len(tokens)}i", MAGIC, 2, len(tokens), *tokens) + state


def write_slot(folder: Path, name: str, tokens: Sequence[int], state: bytes = bytes(1000)) -> WrittenSlot:
    """What an engine leaves after a save: the file under its temporary name."""
    data = state_bytes(tokens, state)
    (folder / (name + SAVING_SUFFIX)).write_bytes(data)
    return WrittenSlot(name, len(tokens), len(data), is_complete=True)


def in_thread(work: Callable[[], T]) -> T:
    """Call it in a worker thread of anyio, where files are hashed."""

    async def main() -> T:
        return await anyio.to_thread.run_sync(work)

    return anyio.run(main)


def spec(**changes: object) -> ReplicaSpec:
    """A replica whose prompts can be saved."""
    options = {
        "context_size": 512,
        **{k: v for k, v in changes.items() if k in EffectiveOptions.model_fields},
    }
    others = {name: value for name, value in changes.items() if name not in EffectiveOptions.model_fields}
    fields: dict[str, object] = {
        "id": f"{MODEL_ID}#1",
        "model_id": MODEL_ID,
        "model_path": Path("model.gguf"),
        "projector_path": None,
        "file_bytes": 1 << 20,
        "memory_bytes": 1 << 20,
        "options": EffectiveOptions(**options),
        "content_id": "content",
    }
    return ReplicaSpec(**{**fields, **others})  # type: ignore[arg-type]
