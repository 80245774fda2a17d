"""The fake engine's slots that keep prompts: reuse, save and restore, in files of llama.cpp's form.

A file ends with the digest of all before it, so that a damaged one is noticed when it is restored.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

Json = dict[str, Any]
MAGIC, VERSION = 0x67677371, 4
PARTS = 20
DIGEST_BYTES = 32


class SlotFailed(Exception):
    pass


def tokens_of(request: Json) -> list[int]:
    """A token for each word of the JSON, as the fake counts them."""
    prompt = request.get("messages") or request.get("input") or request.get("prompt") or ""
    return [zlib.crc32(word.encode()) & 0x7FFFFFFF for word in json.dumps(prompt).split()]


def common_prefix(first: list[int], second: list[int]) -> int:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


class SlotStates:
    """`tokens` are those of each slot, `last_task` what `/slots` reports of its last request."""

    def __init__(self, count: int, folder: str | None, flags: argparse.Namespace) -> None:
        self.tokens: list[list[int]] = [[] for _ in range(count)]
        self.last_task: list[Json | None] = [None] * count
        self.damaged = 0
        self._folder = folder
        self._flags = flags

    def choose(self, busy: list[bool], request: Json) -> int:
        """The free slot that shares most with the prompt, else the last free one."""
        asked = tokens_of(request)
        free = [slot for slot, is_busy in enumerate(busy) if not is_busy]
        return max(free, key=lambda slot: (common_prefix(self.tokens[slot], asked), slot))

    def begin(self, slot: int, request: Json) -> int:
        """Take a prompt into the slot; how many of its tokens are there already."""
        asked = tokens_of(request)
        cached = min(common_prefix(self.tokens[slot], asked), len(asked) - 1)
        self.tokens[slot] = asked
        return 0 if self._flags.slot_trouble == "forgets" else max(cached, 0)

    async def act(self, slot: int, action: str, request: Json) -> Json:
        if action == "erase":
            erased, self.tokens[slot] = len(self.tokens[slot]), []
            return {"id_slot": slot, "n_erased": erased}
        if not self._folder:
            raise SlotFailed("This server does not support slots action. Start it with `--slot-save-path`")
        path = Path(self._folder) / str(request["filename"])
        if action == "save":
            written = await self._save(slot, path)
            return {"id_slot": slot, "n_saved": len(self.tokens[slot]), "n_written": written}
        await self._restore(slot, path)
        return {"id_slot": slot, "n_restored": len(self.tokens[slot]), "n_read": path.stat().st_size}

    async def _save(self, slot: int, path: Path) -> int:
        if self._flags.slot_trouble == "save-fails":
            raise SlotFailed("Unable to save slot")
        tokens = self.tokens[slot]
        packed = [-1, 1, len(tokens), *tokens, 0]
        data = struct.pack(f"<3I{len(packed)}i", MAGIC, VERSION, len(packed), *packed)
        data += bytes(self._flags.state_bytes * len(tokens))
        data += hashlib.sha256(data).digest()
        size = len(data) // PARTS + 1
        with path.open("wb", buffering=0) as file:
            for start in range(0, len(data), size):
                file.write(data[start : start + size])
                await asyncio.sleep(self._flags.save_s / PARTS)
        return len(data)

    async def _restore(self, slot: int, path: Path) -> None:
        self.tokens[slot] = []
        if self._flags.slot_trouble == "restore-fails":
            raise SlotFailed("Unable to restore slot")
        data = await asyncio.to_thread(path.read_bytes)
        await asyncio.sleep(self._flags.restore_s)
        if hashlib.sha256(data[:-DIGEST_BYTES]).digest() != data[-DIGEST_BYTES:]:
            self.damaged += 1
        (count,) = struct.unpack_from("<i", data, 20)
        self.tokens[slot] = list(struct.unpack_from(f"<{count}i", data, 24))
