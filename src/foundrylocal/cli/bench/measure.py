"""The figures of one model: reading prompts, answering, and how long 1, 4 and 16 clients wait for the first token.

Invariant: each part is a few seconds long, whatever the speed, and no prompt is asked twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from foundrylocal.cli.bench.stream import Streamed

ROUNDS = 3
CLIENTS = (1, 4, 16)
PART_S = 2.0
MIN_PROMPT_WORDS, MAX_PROMPT_WORDS = 64, 1500
MIN_ANSWER_TOKENS, MAX_ANSWER_TOKENS = 8, 128
CLIENT_PROMPT_WORDS = 24

Ask = Callable[[int, int, int], Streamed]
"""Ask once: words of the prompt, its number, tokens of the answer."""


@dataclass(frozen=True, slots=True)
class ClientsFigures:
    """So many clients at the same time: their first tokens in ms, and tokens/s of all together."""

    clients: int
    first_token_ms: float
    slowest_first_token_ms: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """Everything that is measured of one model; rates in tokens a second."""

    model: str
    prefill_tokens_per_second: float
    prompt_tokens: int
    decode_tokens_per_second: float
    by_clients: tuple[ClientsFigures, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure_model(model: str, ask: Ask, first_number: int, on_step: Callable[[str], None]) -> ModelFigures:
    """Measure one model; `first_number` is the number of its first prompt, other runs used others."""
    numbers = itertools.count(first_number)
    on_step(f"{model}: loading")
    ask(MIN_PROMPT_WORDS // 2, next(numbers), MIN_ANSWER_TOKENS)
    probe = ask(MIN_PROMPT_WORDS, next(numbers), MIN_ANSWER_TOKENS * 2)
    words = _within(probe.prefill_rate * PART_S, MIN_PROMPT_WORDS, MAX_PROMPT_WORDS)
    on_step(f"{model}: reading prompts of about {words} tokens")
    prompts = [ask(words, next(numbers), 1) for _ in range(ROUNDS)]
    tokens = _within(probe.decode_rate * PART_S, MIN_ANSWER_TOKENS, MAX_ANSWER_TOKENS)
    on_step(f"{model}: answers of {tokens} tokens")
    answers = [ask(CLIENT_PROMPT_WORDS, next(numbers), tokens) for _ in range(ROUNDS)]
    decode_rate = median(answer.decode_rate for answer in answers)
    by_clients = []
    for clients in CLIENTS:
        on_step(f"{model}: {clients} client{'' if clients == 1 else 's'} at the same time")
        share = _within(decode_rate * PART_S / clients, MIN_ANSWER_TOKENS, MAX_ANSWER_TOKENS // 4)
        by_clients.append(_together(clients, share, ask, numbers))
    return ModelFigures(
        model,
        round(median(prompt.prefill_rate for prompt in prompts), 1),
        round(median(prompt.prompt_tokens for prompt in prompts)),
        round(decode_rate, 1),
        tuple(by_clients),
    )


def _together(clients: int, tokens: int, ask: Ask, numbers: itertools.count[int]) -> ClientsFigures:
    rounds = 1 if clients > 4 else ROUNDS
    firsts: list[float] = []
    rates: list[float] = []
    with ThreadPoolExecutor(clients) as pool:
        for _ in range(rounds):
            jobs = [pool.submit(ask, CLIENT_PROMPT_WORDS, next(numbers), tokens) for _ in range(clients)]
            answers = [job.result() for job in jobs]
            firsts += [answer.first_token_s * 1000 for answer in answers]
            rates.append(sum(answer.tokens for answer in answers) / max(answer.total_s for answer in answers))
    return ClientsFigures(clients, round(median(firsts), 1), round(max(firsts), 1), round(median(rates), 1))


def _within(value: float, least: int, most: int) -> int:
    return max(least, min(most, int(value)))
