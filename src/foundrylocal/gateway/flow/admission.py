"""Admission by tokens: what a request may need of its replica's context, counted before it is sent to the worker.

A cheap upper bound comes first; the engine counts when that is no small part of the context, or does not fit. A
count that fails holds nothing up: the request then runs alone, and the engine says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import anyio
import msgspec

from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable, ask
from foundrylocal.engine.replica import Address
from foundrylocal.errors import ContextLengthExceeded
from foundrylocal.gateway.dialects.by_chat import CHAT_PATH, COUNT_PATH
from foundrylocal.gateway.flow.context_budget import ContextBudget, TokenNeed
from foundrylocal.gateway.flow.relay import why_unsent
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.routes import Ability
from foundrylocal.pool.roster import Replica

COUNT_TIMEOUT_S = 60.0
# What a chat template adds at most to the JSON of a conversation, a system prompt of its own included.
_TEMPLATE_TOKENS = 256


class _Count(msgspec.Struct):
    """What the engine answers: a count, or the tokens themselves."""

    input_tokens: int | None = None
    tokens: list[int] | None = None


async def count_prompt(address: Address, request: InferenceRequest, at_once: int) -> int | None:
    """The tokens of the prompt by the engine, of the `at_once` largest ones; None when it cannot tell.

    Raises NothingSent when the worker is gone, SystemExhausted when the service could not ask.
    """
    path, payload, known = COUNT_PATH, request.engine.body_for(address), 0
    if request.engine.path != CHAT_PATH:
        parts = sorted(request.body.prompt_parts, key=_size, reverse=True)[:at_once]
        texts = [part for part in parts if isinstance(part, str)]
        # Each text has a first token of its own, which a list of texts gets only once.
        known = len(texts) + sum(len(part) for part in parts if isinstance(part, list))
        path, payload = "/tokenize", msgspec.json.encode({"content": texts, "add_special": True})
    try:
        with anyio.fail_after(COUNT_TIMEOUT_S):
            async with ask(address, path, payload) as answer:
                raw = await answer.read()
                count = msgspec.json.decode(raw, type=_Count) if answer.status == 200 else _Count()
    except WorkerUnreachable as error:
        raise why_unsent(error) from error
    except (AnswerBroken, TimeoutError, msgspec.DecodeError):
        return None
    return count.input_tokens if count.tokens is None else known + len(count.tokens)


def _size(part: str | list[int]) -> int:
    """The tokens of a prompt, or about as many for a text."""
    return len(part) if isinstance(part, list) else len(part.encode()) // 3


CountPrompt = Callable[[Address, InferenceRequest, int], Awaitable[int | None]]


class Admission:
    """Owner of the budgets of all replicas that generate; `count` is how the engine is asked."""

    def __init__(self, count: CountPrompt = count_prompt) -> None:
        self._count = count
        self._budgets: WeakKeyDictionary[Replica, ContextBudget] = WeakKeyDictionary()

    @asynccontextmanager
    async def admit(self, replica: Replica, request: InferenceRequest) -> AsyncIterator[None]:
        """Hold what the request may need of the context for the duration of the block, and limit its answer to that.

        Raises ContextLengthExceeded, and what a count raises.
        """
        if not request.route.takes_slot or request.route.ability is not Ability.GENERATE:
            yield
            return
        budget = self._budgets.get(replica)
        if budget is None:
            budget = ContextBudget(replica.spec.context_size, replica.spec.parallel)
            self._budgets[replica] = budget
        began = anyio.current_time()
        need = await self._need(replica, request, budget)
        async with budget.reserve(need) as answer_tokens:
            request.stats.queue_s += anyio.current_time() - began
            request.answer_tokens = answer_tokens
            yield

    async def _need(self, replica: Replica, request: InferenceRequest, budget: ContextBudget) -> TokenNeed:
        body, context = request.body, replica.spec.context_size

        def need(prompt_tokens: int) -> TokenNeed:
            return TokenNeed(prompt_tokens, body.answer_count, body.wanted_tokens)

        bound = len(request.engine.body) + _TEMPLATE_TOKENS
        # The bytes of an image say nothing about its tokens.
        if not body.has_images and bound <= budget.share_tokens // 4 and budget.fits_now(need(bound)):
            return need(bound)
        counted = await self._count(replica.address, request, replica.spec.parallel)
        if counted is None:
            return need(max(0, min(bound, context - body.answer_count)))
        if not budget.can_ever_fit(need(counted)):
            raise ContextLengthExceeded(counted, context, body.content_field)
        return need(counted)
