"""How long an engine may be silent before it is called stuck."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.engine.watchdog import (
    IMAGE_BOUND_S,
    MAX_BOUND_S,
    MIN_BOUND_S,
    EngineWatchdog,
    batch_bound_s,
)
from foundrylocal.wire.load_options import LoadSettings

GB = 10**9


def spec(file_bytes: int, **facts: Any) -> ReplicaSpec:
    options = LoadSettings(context_size=8192, threads=2)
    return ReplicaSpec("r", "maker/model", Path("m.gguf"), None, file_bytes, file_bytes, options, **facts)


def test_the_bound_follows_the_slowest_answer() -> None:
    watchdog = EngineWatchdog()
    assert watchdog.bound_s() == MIN_BOUND_S
    watchdog.note(8.0)
    assert watchdog.bound_s() == 32.0
    watchdog.note(1000.0)
    assert watchdog.bound_s() == MAX_BOUND_S
    assert watchdog.bound_s(MAX_BOUND_S + 1) == MAX_BOUND_S + 1


@pytest.mark.parametrize("kind", ["is_embedding", "is_reranking"])
def test_a_whole_text_in_one_batch_is_not_taken_for_a_stuck_engine(kind: str) -> None:
    """By decision 23, two idle cores need two minutes for 8,192 tokens of a model of 0.6 GB."""
    assert batch_bound_s(spec(GB * 6 // 10, **{kind: True})) > 4 * 120


def test_a_batch_of_a_very_large_model_may_take_longer_than_the_usual_bound() -> None:
    """32 tokens of 40 GB: 32 s on two idle cores."""
    assert batch_bound_s(spec(40 * GB)) > 4 * 32 > MAX_BOUND_S


def test_a_small_model_has_the_usual_bound() -> None:
    watchdog = EngineWatchdog()
    assert watchdog.bound_s(batch_bound_s(spec(2 * GB))) == MIN_BOUND_S


def test_an_image_may_take_minutes() -> None:
    assert batch_bound_s(spec(2 * GB), has_images=True) == IMAGE_BOUND_S
