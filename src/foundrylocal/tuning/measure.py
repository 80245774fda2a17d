"""The speed of one replica: requests straight to its engine, whose own clock counts.

Invariant: a measurement is a few seconds long, whatever the speed, and reads nothing from the engine's caches.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import msgspec

from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable, ask
from foundrylocal.engine.replica import Address
from foundrylocal.errors import WorkerCrashed
from foundrylocal.tuning.search import Speed

REQUEST_TIMEOUT_S = 60.0
RUNS = 2
# A first, short request says how long the ones that count may be.
FIRST_PROMPT_TOKENS, FIRST_ANSWER_TOKENS = 48, 8
PART_S = 1.2
MIN_PROMPT_TOKENS, MAX_PROMPT_TOKENS = 64, 768
MIN_ANSWER_TOKENS, MAX_ANSWER_TOKENS = 12, 128
CONTEXT_TOKENS = 1024
_WORDS = (
    "time",
    "person",
    "year",
    "way",
    "day",
    "thing",
    "man",
    "world",
    "life",
    "hand",
    "part",
    "child",
    "eye",
)


class _Timings(msgspec.Struct):
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_per_second: float = 0.0


class _Completion(msgspec.Struct):
    timings: _Timings = msgspec.field(default_factory=_Timings)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Tokens of the prompt and of the answer of one request."""

    prompt: int
    answer: int


def sizes_for(first: Speed) -> Sizes:
    """Sizes with which each part takes about PART_S."""
    return Sizes(
        min(MAX_PROMPT_TOKENS, max(MIN_PROMPT_TOKENS, int(first.prefill * PART_S))),
        min(MAX_ANSWER_TOKENS, max(MIN_ANSWER_TOKENS, int(first.decode * PART_S))),
    )


async def measure(address: Address) -> Speed:
    """The best of RUNS requests. Raises WorkerCrashed when the engine does not answer them."""
    try:
        sizes = sizes_for(await _request(address, Sizes(FIRST_PROMPT_TOKENS, FIRST_ANSWER_TOKENS), 0))
        runs = [await _request(address, sizes, number + 1) for number in range(RUNS)]
    except (WorkerUnreachable, AnswerBroken, TimeoutError, msgspec.DecodeError) as error:
        raise WorkerCrashed(
            f"The engine did not answer a measurement: {error or 'it took too long'}."
        ) from None
    return Speed(max(run.prefill for run in runs), max(run.decode for run in runs))


async def _request(address: Address, sizes: Sizes, number: int) -> Speed:
    # Each prompt begins otherwise, so that no part of it is in the engine's cache.
    words = (_WORDS[(number * 7 + index) % len(_WORDS)] for index in range(sizes.prompt))
    body = {
        "prompt": f"{number} {' '.join(words)}",
        "max_tokens": sizes.answer,
        "ignore_eos": True,
        "temperature": 0,
        "cache_prompt": False,
    }
    with anyio.fail_after(REQUEST_TIMEOUT_S):
        async with ask(address, "/v1/completions", msgspec.json.encode(body)) as answer:
            data = await answer.read()
            if answer.status != 200:
                raise AnswerBroken(f"status {answer.status}")
    timings = msgspec.json.decode(data, type=_Completion).timings
    return Speed(timings.prompt_n * 1000 / max(timings.prompt_ms, 0.001), timings.predicted_per_second)
