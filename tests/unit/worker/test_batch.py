"""How many tokens of a prompt are computed at once."""

from __future__ import annotations

import pytest

from foundrylocal.worker.parameters import MAX_BATCH_TOKENS, MIN_BATCH_TOKENS, batch_tokens


@pytest.mark.parametrize(
    ("model_bytes", "threads", "tokens"),
    [
        (98_362_432, 2, 384),  # the starter model on two cores
        (500_000_000, 2, 64),
        (5_000_000_000, 8, MIN_BATCH_TOKENS),
        (98_362_432, 64, MAX_BATCH_TOKENS),
        (0, 1, MAX_BATCH_TOKENS),
    ],
)
def test_a_batch_is_about_a_second_of_work(model_bytes: int, threads: int, tokens: int) -> None:
    assert batch_tokens(model_bytes, threads) == tokens
