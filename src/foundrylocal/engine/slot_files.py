"""Saving the prompts of an engine's slots to files, and restoring them.

The engine does the work on its main loop, so that nothing else moves meanwhile, and a save waits until its slot is
idle. File names are plain: the engine puts them into the folder that it was given at its start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from foundrylocal.engine.client import ask
from foundrylocal.engine.replica import Address
from foundrylocal.engine.slots import Slot, decode_slots

MAX_REASON_CHARS = 200
T = TypeVar("T")


class SlotActionFailed(Exception):
    """The engine answered, but did not do it; the message is the engine's."""


class SavedSlot(msgspec.Struct, frozen=True):
    """What an engine wrote: `n_saved` tokens in `n_written` bytes."""

    n_saved: int
    n_written: int = 0


class RestoredSlot(msgspec.Struct, frozen=True):
    """What an engine read: `n_restored` tokens."""

    n_restored: int


class SlotEngine(Protocol):
    """What is asked of an engine. Each call raises SlotActionFailed, WorkerUnreachable and AnswerBroken."""

    async def slots(self, address: Address) -> list[Slot]:
        """What the engine reports of its slots."""

    async def save(self, address: Address, slot: int, file_name: str) -> SavedSlot:
        """Write the slot's prompt to the file, once the slot is idle."""

    async def restore(self, address: Address, slot: int, file_name: str) -> RestoredSlot:
        """Replace the slot's prompt by that of the file; if that fails, the slot is empty."""

    async def erase(self, address: Address, slot: int) -> None:
        """Empty the slot."""


class HttpSlotEngine:
    """The slots of a worker, by llama.cpp's HTTP API. The caller bounds every wait."""

    async def slots(self, address: Address) -> list[Slot]:
        return _decoded(decode_slots, await _exchange(address, "/slots", None))

    async def save(self, address: Address, slot: int, file_name: str) -> SavedSlot:
        return await _act(address, slot, "save", file_name, SavedSlot)

    async def restore(self, address: Address, slot: int, file_name: str) -> RestoredSlot:
        return await _act(address, slot, "restore", file_name, RestoredSlot)

    async def erase(self, address: Address, slot: int) -> None:
        await _exchange(address, f"/slots/{slot}?action=erase", b"{}")


async def _act(address: Address, slot: int, action: str, file_name: str, kind: type[T]) -> T:
    body = msgspec.json.encode({"filename": file_name})
    answer = await _exchange(address, f"/slots/{slot}?action={action}", body)
    return _decoded(msgspec.json.Decoder(kind).decode, answer)


async def _exchange(address: Address, target: str, body: bytes | None) -> bytes:
    async with ask(address, target, body) as answer:
        data = await answer.read()
        if answer.status != 200:
            raise SlotActionFailed(_reason(answer.status, data))
        return data


class _Error(msgspec.Struct):
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


def _reason(status: int, data: bytes) -> str:
    try:
        message = msgspec.json.decode(data, type=_ErrorBody).error.message
    except msgspec.DecodeError:
        message = ""
    return message[:MAX_REASON_CHARS] or f"status {status}"


def _decoded(decode: Callable[[bytes], T], data: bytes) -> T:
    try:
        return decode(data)
    except msgspec.DecodeError as error:
        raise SlotActionFailed(f"the engine's answer cannot be read: {error}") from None
