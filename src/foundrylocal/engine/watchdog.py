"""Tells an engine or a request that is stuck from one that works: by the progress of the slots, not by `/health`.

`/health` is answered while the engine's main loop hangs. So is `/slots` while the loop computes a batch, but it shows
how far each request is. A request moves only between two batches, and a batch of prefill may take long on a busy
machine, so the bound allows for one at the speed that finished requests had, several times over. Where one batch is
known to be long work (an embedding's whole text, a very large model, an image), the bound allows for that too.

Invariant: a request that moved within the bound is never called stuck, nor is one that was watched for less time.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import anyio
import msgspec

from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable, ask
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.engine.slots import Slot, SlotProgress, decode_slots

PERIOD_S = 5.0
MIN_BOUND_S = 25.0
# Before any request has finished: others must be answered within a minute of an engine that hangs.
MAX_UNMEASURED_BOUND_S = 40.0
# A machine that is measured to be slow gets the time that it needs.
MAX_BOUND_S = 300.0
# The machine may be busier than it was when its speed was measured.
SAFETY = 4.0
UNMEASURED_TOKENS_PER_S = 10.0
# Fewer tokens of prompt are mostly overhead and say nothing about a batch.
MIN_MEASURED_TOKENS = 64
MAX_BATCH_TOKENS = 512
RECENT_S = 2 * PERIOD_S
PROBE = "/slots"
# A core reads that many bytes of weights, counted for each token (docs/decisions/0023); a busy one, a part of them.
BYTES_PER_CORE_S = 20e9
BUSY_FACTOR = 8.0
# The smallest batch of prompt that a worker is given, however large its model is.
MIN_BATCH_TOKENS = 32
# An image is encoded in one go, which takes minutes on a processor.
IMAGE_BOUND_S = 300.0
_FREED_CHECK_S = 0.25


def batch_bound_s(spec: ReplicaSpec, *, has_images: bool = False) -> float:
    """How long one batch of this replica may take on a busy processor, in seconds."""
    # An embedding is computed in one batch, however long its text is.
    tokens = spec.context_size if spec.is_embedding or spec.is_reranking else MIN_BATCH_TOKENS
    cores = spec.options.threads or os.cpu_count() or 1
    batch_s = BUSY_FACTOR * tokens * spec.file_bytes / (cores * BYTES_PER_CORE_S)
    return max(batch_s, IMAGE_BOUND_S) if has_images else batch_s


async def read_slots(address: Address) -> list[Slot]:
    """What the engine reports of its slots. Raises AnswerBroken, WorkerUnreachable and msgspec.DecodeError."""
    async with ask(address, PROBE) as answer:
        body = await answer.read()
        return decode_slots(body) if answer.status == 200 else []


ReadSlots = Callable[[Address], Awaitable[list[Slot]]]


@dataclass(frozen=True, slots=True)
class Finding:
    """`standing` are the tags of the requests without progress. `is_engine_stuck`: no request has any."""

    is_engine_stuck: bool = False
    standing: frozenset[int] = frozenset()
    bound_s: float = 0.0


class EngineWatchdog:
    """Judges one engine. `tokens_per_s` is the speed at which finished requests had their prompts read, if known."""

    def __init__(
        self,
        tokens_per_s: float | None = None,
        now_s: Callable[[], float] = monotonic,
        read_slots: ReadSlots = read_slots,
    ) -> None:
        self.tokens_per_s = tokens_per_s
        self._read_slots = read_slots
        self._now_s = now_s
        self._progress = SlotProgress()
        self._batch_tokens = 0

    def bound_s(self, batch_s: float = 0.0) -> float:
        """For how long nothing may move, when one batch may take `batch_s`; never less than MIN_BOUND_S."""
        expected_s, limit_s = self._batch_tokens / UNMEASURED_TOKENS_PER_S, MAX_UNMEASURED_BOUND_S
        if self.tokens_per_s:
            expected_s, limit_s = SAFETY * self._batch_tokens / self.tokens_per_s, MAX_BOUND_S
        return max(batch_s, min(limit_s, max(MIN_BOUND_S, expected_s)))

    async def look(self, address: Address, batch_s: float = 0.0) -> Finding:
        """Ask the engine once, for as long as the bound allows, when one batch may take `batch_s`.

        An engine that cannot be reached is gone, not stuck.
        """
        bound_s = self.bound_s(batch_s)
        try:
            with anyio.fail_after(bound_s):
                slots = await self._read_slots(address)
        except TimeoutError:
            return Finding(True, bound_s=bound_s)
        except (AnswerBroken, WorkerUnreachable, msgspec.DecodeError):
            return Finding()
        return self.judge(slots, batch_s)

    def judge(self, slots: Sequence[Slot], batch_s: float = 0.0) -> Finding:
        """What the engine's report of this moment says, after the ones before."""
        now_s = self._now_s()
        self._batch_tokens = min(MAX_BATCH_TOKENS, sum(slot.batch_tokens for slot in slots))
        self._progress.note(slots, now_s)
        bound_s = self.bound_s(batch_s)
        still_s = now_s - (now_s if (last := self._progress.last_move_s) is None else last)
        is_engine_stuck = still_s > bound_s
        # While nothing moves, the request that stood still first is not the one to blame.
        is_moving = still_s <= RECENT_S
        standing = self._progress.standing(now_s, bound_s) if is_moving or is_engine_stuck else frozenset()
        return Finding(is_engine_stuck, standing, bound_s)

    async def wait_free(self, address: Address, tag: int) -> None:
        """Wait until the engine has let go of a request that was ended. The caller bounds the wait."""
        while True:
            try:
                slots = await self._read_slots(address)
            except (AnswerBroken, WorkerUnreachable, msgspec.DecodeError):
                return  # gone
            if all(slot.tag != tag for slot in slots):
                # Only the main loop lets go of a slot: it goes on, and the others are watched anew.
                self._progress = SlotProgress()
                return
            await anyio.sleep(_FREED_CHECK_S)
