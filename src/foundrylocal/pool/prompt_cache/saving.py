"""Has an engine write the prompts of its slots before its worker ends.

Invariant: it takes SAVE_TIMEOUT_S at most, whatever the engine and the disk do; a failure is logged and nothing else.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence

import anyio

from foundrylocal.downloads.space import RESERVE_BYTES
from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.engine.slot_files import SlotActionFailed, SlotEngine
from foundrylocal.engine.slots import Slot
from foundrylocal.pool.prompt_cache.saved_prompt import Fit
from foundrylocal.pool.prompt_cache.store import SAVING_SUFFIX, PromptStore, WrittenSlot

log = logging.getLogger("foundrylocal.FoundryLocalService")

SAVE_TIMEOUT_S = 2.0
# Shorter prompts are read again sooner than anybody notices.
MIN_TOKENS = 64
# The engine saves what it needs to go on from earlier points, too.
ESTIMATE_FACTOR = 1.25
ENGINE_FAILURES = (SlotActionFailed, WorkerUnreachable, AnswerBroken)


class Saving:
    """Asks the engine; what it wrote is for the store to check."""

    def __init__(self, store: PromptStore, engine: SlotEngine) -> None:
        self._store = store
        self._engine = engine

    async def save(
        self, spec: ReplicaSpec, address: Address, fit: Fit, written: list[WrittenSlot], is_idle: bool
    ) -> None:
        """Save the slots that have worked since they were restored, the longest first, and note them in `written`.

        A slot that is at work is waited for if the replica `is_idle`: it is about to notice that its client left.
        """
        name = spec.model_id.rpartition("/")[2]
        with anyio.move_on_after(SAVE_TIMEOUT_S) as limit:
            try:
                slots = await self._engine.slots(address)
                for slot in worth_saving(slots, is_idle=is_idle):
                    await self._save_slot(spec, address, fit, slot, written)
            except ENGINE_FAILURES as error:
                log.warning("The prompts of %s were not saved: %s", name, error)
            except OSError as error:
                log.warning("The prompts of %s were not saved: %s", name, error.strerror)
        if limit.cancelled_caught:
            log.warning("Not all prompts of %s were saved: that took more than %g s", name, SAVE_TIMEOUT_S)

    async def _save_slot(
        self, spec: ReplicaSpec, address: Address, fit: Fit, slot: Slot, written: list[WrittenSlot]
    ) -> None:
        expected_bytes = self._expected_bytes(spec, fit, slot.n_prompt_tokens)
        free_bytes = await anyio.to_thread.run_sync(self._store.free_bytes)
        if expected_bytes > min(self._store.limit_bytes, free_bytes - RESERVE_BYTES):
            log.info(
                "A prompt of %d tokens was not saved: there is no room for it on the disk or within prompt_cache_mb",
                slot.n_prompt_tokens,
            )
            return
        one = WrittenSlot(f"{fit.key[:16]}-{uuid.uuid4().hex[:16]}.prompt")
        written.append(one)
        saved = await self._engine.save(address, slot.id, one.name + SAVING_SUFFIX)
        one.tokens, one.size_bytes, one.is_complete = saved.n_saved, saved.n_written, True

    def _expected_bytes(self, spec: ReplicaSpec, fit: Fit, tokens: int) -> int:
        """As the last prompt of this kind was, or else by the estimate of the model's memory."""
        if (known := self._store.fitting(fit)) and known[0].tokens:
            token_bytes = known[0].size_bytes / known[0].tokens
        else:
            token_bytes = max(0, spec.memory_bytes - spec.file_bytes) / max(1, spec.context_size)
        return int(ESTIMATE_FACTOR * token_bytes * tokens)


def worth_saving(slots: Sequence[Slot], *, is_idle: bool) -> list[Slot]:
    """The slots to save, the longest first: none that has had no request, and none at work unless `is_idle`."""
    found = [
        slot
        for slot in slots
        if slot.has_worked and slot.n_prompt_tokens >= MIN_TOKENS and (is_idle or not slot.is_processing)
    ]
    return sorted(found, key=lambda slot: slot.n_prompt_tokens, reverse=True)
