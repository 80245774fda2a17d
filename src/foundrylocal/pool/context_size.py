"""`context_size: "auto"`: the tokens of context that a model gets when nobody asked for a number.

Pure arithmetic. Invariant: the result is the model's own context, at most MAX_AUTO_TOKENS, cut to what fits; it is
never less than MIN_AUTO_TOKENS unless the model has less, and is MIN_AUTO_TOKENS when nothing fits, so that the
refusal that follows speaks of the smallest context. All slots of a replica share it (docs/decisions/0003).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import Final

MAX_AUTO_TOKENS: Final = 32_768
MIN_AUTO_TOKENS: Final = 4_096
# An embedding is computed in one batch as large as the context, whose attention mask grows with its square.
MAX_AUTO_SINGLE_BATCH_TOKENS: Final = 8_192
# Memory changes a little from one moment to the next; whole steps make two loads in a row alike.
STEP_TOKENS: Final = 1_024


def auto_context_bounds(model_tokens: int | None, *, is_single_batch: bool = False) -> tuple[int, int]:
    """The least and the most tokens that "auto" may be; `model_tokens` None is a file that does not say.

    `is_single_batch` is a model that computes a whole input at once: embeddings and rerankers.
    """
    most = min(
        MAX_AUTO_SINGLE_BATCH_TOKENS if is_single_batch else MAX_AUTO_TOKENS, model_tokens or MIN_AUTO_TOKENS
    )
    return min(MIN_AUTO_TOKENS, most), most


def largest_fitting(least: int, most: int, fits: Callable[[int], bool]) -> int:
    """The most tokens from `least` to `most`, in steps, of which `fits` is true; `least` when it never is.

    `fits` has to be monotonic: what holds for more tokens holds for fewer.
    """
    choices: list[int] = [
        least,
        *range(_next_step(least), most, STEP_TOKENS),
        *([most] if most > least else []),
    ]
    first_too_large = bisect.bisect_left(choices, True, key=lambda tokens: not fits(tokens))
    return choices[max(0, first_too_large - 1)]


def _next_step(tokens: int) -> int:
    return (tokens // STEP_TOKENS + 1) * STEP_TOKENS
