"""Which options are tried, in which order, and when one is better: pure, so that a test plays a machine.

One option after the other is varied from the best found so far. Invariant: the options that would be used without
tuning are measured first, and nothing counts as better that is not so by a margin.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from foundrylocal.wire.load_options import KvCacheType

# What a request is judged by: a prompt of this length, and an answer.
PROMPT_TOKENS = 512
ANSWER_TOKENS = 128
# Two measurements of the same options differ by as much on a quiet machine.
MIN_GAIN = 1.04
# While a batch of one prompt is computed, other streams of the model wait.
MAX_BATCH_S = 1.0
BATCHES = (512, 256, 128, 64)
# q4_0 is left out: it changes what the model says.
CACHE_TYPES: tuple[KvCacheType, ...] = ("f16", "q8_0")


@dataclass(frozen=True, slots=True)
class Choice:
    """The options that tuning decides; None leaves one to the service."""

    threads: int | None
    batch_tokens: int | None
    kv_cache_type: KvCacheType

    def as_options(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second: of prompts that are read, and of answers."""

    prefill: float
    decode: float

    @property
    def request_s(self) -> float:
        """How long the request takes that options are judged by."""
        return PROMPT_TOKENS / max(self.prefill, 1e-3) + ANSWER_TOKENS / max(self.decode, 1e-3)

    def is_better_than(self, other: Speed) -> bool:
        return other.request_s >= self.request_s * MIN_GAIN


def thread_counts(cores: int, logical: int) -> list[int]:
    """Numbers of threads worth a try: all cores, half of them, one less, one, and all logical processors."""
    return sorted(
        {max(1, cores // 2), max(1, cores - 1), cores, min(logical, 2 * cores)}
        | ({1} if cores <= 4 else set())
    )


class Search:
    """Yields what to measure next and keeps the best; `steps` is how many that are at most."""

    def __init__(self, start: Choice, threads: Sequence[int], own_threads: int) -> None:
        self.start = self.best = start
        self.start_speed: Speed | None = None
        self.best_speed: Speed | None = None
        self._threads = [count for count in threads if count != (start.threads or own_threads)]
        self.steps = 1 + len(self._threads) + len(BATCHES) + len(CACHE_TYPES) - 1

    def candidates(self) -> Generator[Choice, Speed | None, None]:
        """Each choice in turn; send its speed, or None when it could not be loaded."""
        self.start_speed = self.best_speed = yield self.start
        if self.start_speed is None:
            return
        for threads in self._threads:
            yield from self._try(replace(self.best, threads=threads))
        for batch in BATCHES:
            if batch != self.best.batch_tokens and batch <= self._prefill() * MAX_BATCH_S:
                yield from self._try(replace(self.best, batch_tokens=batch))
        for cache_type in CACHE_TYPES:
            if cache_type != self.best.kv_cache_type:
                yield from self._try(replace(self.best, kv_cache_type=cache_type))

    def _try(self, choice: Choice) -> Generator[Choice, Speed | None, None]:
        speed = yield choice
        if speed is not None and self.best_speed is not None and speed.is_better_than(self.best_speed):
            self.best, self.best_speed = choice, speed

    def _prefill(self) -> float:
        return self.best_speed.prefill if self.best_speed is not None else 0.0
