"""How many tokens of a prompt are computed at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foundrylocal.worker.parameters import (
    LOAD_OPTIONS,
    MAX_BATCH_TOKENS,
    MIN_BATCH_TOKENS,
    _set_batch,
    batch_tokens,
)


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


def test_a_batch_that_is_asked_for_replaces_the_rule(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(bytes(1000))
    order: dict[str, Any] = {
        "model_path": str(tmp_path / "model.gguf"),
        "gpu_layers": 0,
        "threads": 1,
        "is_embedding": False,
        "is_reranking": False,
    }
    params = SimpleNamespace(n_batch=0, n_ubatch=0)
    LOAD_OPTIONS["batch_tokens"](params, 96)
    _set_batch(params, order | {"batch_tokens": 96}, has_gpu=False)
    assert (params.n_batch, params.n_ubatch) == (96, 96)
