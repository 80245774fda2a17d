"""The arithmetic of `context_size: "auto"`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.pool.context_size import (
    MAX_AUTO_TOKENS,
    MIN_AUTO_TOKENS,
    STEP_TOKENS,
    auto_context_bounds,
    largest_fitting,
)


@pytest.mark.parametrize(
    ("model_tokens", "is_single_batch", "bounds"),
    [
        (131_072, False, (4_096, 32_768)),
        (32_768, False, (4_096, 32_768)),
        (8_192, False, (4_096, 8_192)),
        (2_048, False, (2_048, 2_048)),
        (None, False, (4_096, 4_096)),
        (32_768, True, (4_096, 8_192)),
        (512, True, (512, 512)),
    ],
)
def test_the_bounds_are_the_models_own_context_within_limits(
    model_tokens: int | None, is_single_batch: bool, bounds: tuple[int, int]
) -> None:
    assert auto_context_bounds(model_tokens, is_single_batch=is_single_batch) == bounds


@pytest.mark.parametrize(
    ("room", "chosen"),
    [
        (99_999, 40_000),
        (40_000, 40_000),
        (39_999, 39_936),
        (20_000, 19_456),
        (5_120, 5_120),
        (5_119, 4_096),
        (4_096, 4_096),
        (10, 4_096),
    ],
)
def test_it_is_the_largest_step_that_fits_and_the_least_when_none_does(room: int, chosen: int) -> None:
    assert largest_fitting(4_096, 40_000, lambda tokens: tokens <= room) == chosen


@given(model_tokens=st.integers(1, 300_000), room=st.integers(0, 300_000))
def test_no_step_that_fits_is_missed(model_tokens: int, room: int) -> None:
    least, most = auto_context_bounds(model_tokens)
    chosen = largest_fitting(least, most, lambda tokens: tokens <= room)
    assert least == min(MIN_AUTO_TOKENS, model_tokens)
    assert least <= chosen <= most <= MAX_AUTO_TOKENS
    assert chosen <= room or chosen == least
    assert chosen == most or chosen + STEP_TOKENS > room or chosen == least > room
