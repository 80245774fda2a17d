"""How many tokens of a prompt are computed at once."""

from __future__ import annotations

import pytest

from foundrylocal.worker.parameters import MAX_BATCH_TOKENS, MIN_BATCH_TOKENS, batch_tokens


@pytest.mark.parametrize(
    ("model_bytes", "threads", "tokens"),
    [
        (98_362_432, 2, 128),  # the starter model on two cores
        (200_000_000, 4, 128),
        (5_000_000_000, 8, MIN_BATCH_TOKENS),
        (98_362_432, 64, MAX_BATCH_TOKENS),
        (0, 1, MAX_BATCH_TOKENS),
    ],
)
def test_a_batch_is_short_enough_for_the_streams_that_wait_for_it(
    model_bytes: int, threads: int, tokens: int
) -> None:
    assert batch_tokens(model_bytes, threads) == tokens
