"""Tells an engine that is stuck from one that works: asked through its own task queue, which `/health` is not.

`/slots` is answered by the engine's main loop, between two batches. A batch of prefill may take long on a busy
machine, so the bound is several times what the slowest answer so far took, and never less than MIN_BOUND_S. Where
one batch is known to be long work (an embedding's whole text, a very large model, an image), the bound allows for it.

Invariant: an engine that answered within the bound is never called stuck, nor is one that was asked for less time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic

import anyio

from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable, ask
from foundrylocal.engine.replica import Address, ReplicaSpec

PERIOD_S = 5.0
MIN_BOUND_S = 25.0
MAX_BOUND_S = 40.0
# A batch may hold more tokens than the slowest one so far, on a machine that is busier than then.
SAFETY = 4.0
PROBE = "/slots"
# A core reads that many bytes of weights, counted for each token (docs/decisions/0023); a busy one, a part of them.
BYTES_PER_CORE_S = 20e9
BUSY_FACTOR = 8.0
# The smallest batch of prompt that a worker is given, however large its model is.
BATCH_TOKENS = 32
# An image is encoded in one go, which takes minutes on a processor.
IMAGE_BOUND_S = 300.0


def batch_bound_s(spec: ReplicaSpec, *, has_images: bool = False) -> float:
    """How long one batch of this replica may take on a busy processor, in seconds."""
    # An embedding is computed in one batch, however long its text is.
    tokens = spec.context_size if spec.is_embedding or spec.is_reranking else BATCH_TOKENS
    cores = spec.options.threads or os.cpu_count() or 1
    batch_s = BUSY_FACTOR * tokens * spec.file_bytes / (cores * BYTES_PER_CORE_S)
    return max(batch_s, IMAGE_BOUND_S) if has_images else batch_s


class EngineWatchdog:
    """Judges one engine by the times of its answers."""

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self._now_s = now_s
        self._slowest_s = 0.0

    def bound_s(self, batch_s: float = 0.0) -> float:
        """How long the engine may be silent, when one batch may take `batch_s`."""
        return max(batch_s, min(MAX_BOUND_S, max(MIN_BOUND_S, SAFETY * self._slowest_s)))

    def note(self, took_s: float) -> None:
        """Note how long an answer took."""
        self._slowest_s = max(self._slowest_s, took_s)

    async def is_stuck(self, address: Address, batch_s: float = 0.0) -> bool:
        """Ask once, for as long as the bound allows, when one batch may take `batch_s`.

        An engine that cannot be reached is gone, not stuck.
        """
        began = self._now_s()
        try:
            with anyio.fail_after(self.bound_s(batch_s)):
                async with ask(address, PROBE) as answer:
                    await answer.read()
        except TimeoutError:
            return True
        except (AnswerBroken, WorkerUnreachable):
            return False
        self.note(self._now_s() - began)
        return False
