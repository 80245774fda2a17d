"""The tokens of one replica's context: each request reserves what it may need, and waits in turn for that.

All slots of a replica share one context, and the engine fails every request in it when their sum overruns. So what
is reserved never exceeds the context (docs/decisions/0024). Invariant: a request never gets more than it reserved,
every reservation is given back, and nobody passes a request that waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

# The engine notices a client that is gone within this time, and computes for it until then.
RELEASE_DELAY_S = 1.0


@dataclass(frozen=True, slots=True)
class TokenNeed:
    """What a request may need: its prompts, and `answers` of at most `wanted_tokens` each; None is any length."""

    prompt_tokens: int
    answers: int = 1
    wanted_tokens: int | None = None


@dataclass(eq=False)
class _Waiter:
    need: TokenNeed
    answer_tokens: int = 0
    granted: anyio.Event = field(default_factory=anyio.Event)


class ContextBudget:
    """The context of one replica, of `capacity_tokens`, which `slots` requests share."""

    def __init__(self, capacity_tokens: int, slots: int) -> None:
        self._capacity_tokens = capacity_tokens
        self._slots = slots
        self._reserved_tokens = 0
        self._answers = 0
        self._waiting: deque[_Waiter] = deque()

    @property
    def free_tokens(self) -> int:
        return self._capacity_tokens - self._reserved_tokens

    @property
    def share_tokens(self) -> int:
        """What each slot would have if the context were divided."""
        return self._capacity_tokens // self._slots

    def can_ever_fit(self, need: TokenNeed) -> bool:
        """Whether the prompts leave room for one token of each answer."""
        return need.prompt_tokens + self._side_by_side(need) <= self._capacity_tokens

    def fits_now(self, need: TokenNeed) -> bool:
        """Whether the request could begin now, with nobody before it."""
        least = need.prompt_tokens + self._side_by_side(need) * self._least_answer(need)
        return not self._waiting and self.can_ever_fit(need) and least <= self.free_tokens

    @asynccontextmanager
    async def reserve(self, need: TokenNeed) -> AsyncIterator[int]:
        """Reserve for the duration of the block, in turn; the tokens that each answer may have. The need can fit."""
        waiter = _Waiter(need)
        self._waiting.append(waiter)
        self._grant()
        try:
            await waiter.granted.wait()
        except BaseException:
            if waiter.granted.is_set():
                self._release(waiter)
            else:
                self._waiting.remove(waiter)
                self._grant()
            raise
        try:
            yield waiter.answer_tokens
        except BaseException:
            asyncio.get_running_loop().call_later(RELEASE_DELAY_S, self._release, waiter)
            raise
        self._release(waiter)

    def _grant(self) -> None:
        while self._waiting:
            need = self._waiting[0].need
            answers, least = self._side_by_side(need), self._least_answer(need)
            if need.prompt_tokens + answers * least > self.free_tokens:
                return
            waiter = self._waiting.popleft()
            waiter.answer_tokens = max(least, min(self._wanted(need), self._generous_answer(need)))
            self._reserved_tokens += self._taken(waiter)
            self._answers += answers
            waiter.granted.set()

    def _release(self, waiter: _Waiter) -> None:
        self._reserved_tokens -= self._taken(waiter)
        self._answers -= self._side_by_side(waiter.need)
        self._grant()

    def _taken(self, waiter: _Waiter) -> int:
        return waiter.need.prompt_tokens + self._side_by_side(waiter.need) * waiter.answer_tokens

    def _side_by_side(self, need: TokenNeed) -> int:
        """Answers that are computed at once: the engine does more than there are slots in turn."""
        return min(need.answers, self._slots)

    def _wanted(self, need: TokenNeed) -> int:
        """What an answer could have if the request were alone."""
        room = (self._capacity_tokens - need.prompt_tokens) // self._side_by_side(need)
        return room if need.wanted_tokens is None else min(need.wanted_tokens, room)

    def _least_answer(self, need: TokenNeed) -> int:
        """What an answer has to have before the request begins: half of a slot's share of the context.

        A length that was asked for is reserved as it is, up to half of the context.
        """
        answers = self._side_by_side(need)
        least = self.share_tokens // 2
        if need.wanted_tokens is not None:
            least = max(least, (self._capacity_tokens // 2 - need.prompt_tokens) // answers)
        return max(1, min(self._wanted(need), least))

    def _generous_answer(self, need: TokenNeed) -> int:
        """What an answer may have now: all that is free but three quarters of a share for each slot that is left."""
        answers = self._side_by_side(need)
        slots_left = max(0, self._slots - self._answers - answers)
        return (self.free_tokens - need.prompt_tokens - slots_left * self.share_tokens * 3 // 4) // answers
