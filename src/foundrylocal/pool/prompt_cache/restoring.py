"""Gives a new engine the prompts that fit it, before its first request, and finds out whether that helped.

Invariant: a prompt that the engine does not take, or takes only in part, is dropped, and its slot is empty.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.engine.slot_files import SlotActionFailed, SlotEngine
from foundrylocal.kit.threads import ThreadLane
from foundrylocal.pool.prompt_cache.saved_prompt import Fit, SavedPrompt
from foundrylocal.pool.prompt_cache.store import PromptStore

log = logging.getLogger("foundrylocal.FoundryLocalService")

RESTORE_TIMEOUT_S = 2.0
# A restored prompt has helped when at least this share of it, or of the next prompt, was not read again.
MIN_REUSED_SHARE = 0.5
DISK_LANE = ThreadLane("saved prompts", 1)


@dataclass(slots=True)
class Restored:
    """The prompts of one replica that came from the disk: by slot while nothing is known of their use.

    `missed` are the names of those whose slot then read its prompt anew: for another chat, or because it had to.
    """

    unproven: dict[int, SavedPrompt] = field(default_factory=dict)
    missed: set[str] = field(default_factory=set)


class Restoring:
    """Asks the engine, and tells the store what became of the prompts."""

    def __init__(self, store: PromptStore, engine: SlotEngine) -> None:
        self._store = store
        self._engine = engine

    async def restore(self, spec: ReplicaSpec, address: Address, fit: Fit, restored: Restored) -> None:
        """Restore as many prompts as there are slots and context for, the last used first; the caller bounds it."""
        await DISK_LANE.run(self._store.drop_foreign, spec.model_id, fit)
        with contextlib.suppress(WorkerUnreachable, AnswerBroken):
            for prompt in choose(self._store.fitting(fit), spec.parallel, spec.context_size):
                slot = len(restored.unproven)
                if await self._restore_slot(address, slot, prompt):
                    restored.unproven[slot] = prompt

    async def _restore_slot(self, address: Address, slot: int, prompt: SavedPrompt) -> bool:
        if not await DISK_LANE.run(self._store.is_intact, prompt):
            log.warning("A saved prompt is damaged and was removed")
            await DISK_LANE.run(self._store.drop, prompt)
            return False
        try:
            answer = await self._engine.restore(address, slot, prompt.name)
            if answer.n_restored == prompt.tokens:
                return True
            await self._engine.erase(address, slot)
            reason = f"the engine took {answer.n_restored} of {prompt.tokens} tokens"
        except SlotActionFailed as error:
            reason = str(error)
        except AnswerBroken:
            # The worker may have crashed because of it: the next load must not meet the same file.
            await DISK_LANE.run(self._store.drop, prompt)
            raise
        log.warning("A saved prompt could not be restored: %s", reason)
        await DISK_LANE.run(self._store.drop, prompt)
        return False

    async def prove(self, address: Address, restored: Restored, tokens_in: int, tokens_cached: int) -> None:
        """Take note of an answer: the prompts in the slots that have worked now have saved reading them, or not."""
        with anyio.move_on_after(RESTORE_TIMEOUT_S):
            try:
                slots = await self._engine.slots(address)
            except (SlotActionFailed, WorkerUnreachable, AnswerBroken):
                return
            for slot in slots:
                # The engine keeps no count for a slot after its request, so that of the answer is taken.
                if not slot.has_worked or (prompt := restored.unproven.pop(slot.id, None)) is None:
                    continue
                if has_helped(prompt, tokens_in, tokens_cached):
                    await DISK_LANE.run(self._store.count_hit, prompt.name)
                else:
                    restored.missed.add(prompt.name)


def choose(fitting: Sequence[SavedPrompt], slots: int, context_tokens: int) -> list[SavedPrompt]:
    """Those to restore, of prompts in the order of their use; all slots share the context."""
    chosen: list[SavedPrompt] = []
    free_tokens = context_tokens
    for prompt in fitting:
        if len(chosen) < slots and prompt.tokens < free_tokens:
            chosen.append(prompt)
            free_tokens -= prompt.tokens
    return chosen


def has_helped(prompt: SavedPrompt, tokens_in: int, tokens_cached: int) -> bool:
    """Whether the first request of a restored slot took a good part of its prompt from it."""
    return tokens_cached >= MIN_REUSED_SHARE * min(prompt.tokens, tokens_in)
