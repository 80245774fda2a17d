"""The search on machines that a test plays: what is tried, and what counts as better."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from foundrylocal.catalog.registry import Registry
from foundrylocal.tuning.measure import Sizes, sizes_for
from foundrylocal.tuning.outcome import Trial, Tuned, describe
from foundrylocal.tuning.search import Choice, Search, Speed, thread_counts
from tests.running import CHAT_MODEL

AUTO = Choice(None, None, "f16")


def search(
    machine: Callable[[Choice], Speed | None], start: Choice = AUTO, cores: int = 4
) -> tuple[Search, list[Choice]]:
    """Run a search to its end; the choices that it measured."""
    found, tried = Search(start, thread_counts(cores, 2 * cores), cores), list[Choice]()
    candidates = found.candidates()
    choice = next(candidates)
    while True:
        tried.append(choice)
        try:
            choice = candidates.send(machine(choice))
        except StopIteration:
            return found, tried


def test_a_machine_that_is_fine_as_it_is_keeps_its_options() -> None:
    found, tried = search(lambda choice: Speed(600, 50))
    assert found.best == found.start == tried[0]
    assert len(tried) == len(set(tried)) <= found.steps


def test_each_option_is_varied_from_the_best_so_far() -> None:
    def machine(choice: Choice) -> Speed:
        decode = {2: 80.0}.get(choice.threads or 4, 50.0)
        prefill = {256: 900.0}.get(choice.batch_tokens or 0, 600.0)
        return Speed(prefill, decode)

    found, tried = search(machine)
    assert found.best == Choice(2, 256, "f16")
    assert Choice(2, 256, "q8_0") in tried


def test_less_than_the_margin_is_noise() -> None:
    found, _ = search(lambda choice: Speed(600, 51 if choice.threads == 2 else 50))
    assert found.best == AUTO


def test_a_batch_that_would_hold_up_other_streams_is_not_tried() -> None:
    _, tried = search(lambda choice: Speed(100, 5))
    assert {choice.batch_tokens for choice in tried} == {None, 64}


def test_options_that_cannot_be_loaded_are_passed_over() -> None:
    found, _ = search(lambda choice: None if choice.kv_cache_type == "q8_0" else Speed(600, 50))
    assert found.best == AUTO
    nothing, tried = search(lambda choice: None)
    assert tried == [AUTO]
    assert nothing.best_speed is None


@pytest.mark.parametrize(
    ("cores", "logical", "counts"),
    [(1, 1, [1]), (2, 2, [1, 2]), (4, 8, [1, 2, 3, 4, 8]), (16, 32, [8, 15, 16, 32])],
)
def test_thread_counts(cores: int, logical: int, counts: list[int]) -> None:
    assert thread_counts(cores, logical) == counts


def test_sizes_follow_the_speed_within_bounds() -> None:
    assert sizes_for(Speed(200, 50)) == Sizes(240, 60)
    assert sizes_for(Speed(1, 0.1)) == Sizes(64, 12)
    assert sizes_for(Speed(1e5, 1e4)) == Sizes(768, 128)


def test_the_outcome_says_what_changed_and_by_how_much() -> None:
    model = Registry.load().find(CHAT_MODEL)
    slow, fast = Speed(256, 64), Speed(512, 64)
    tuned = Tuned(model, AUTO, slow, Choice(2, None, "f16"), fast, (Trial(AUTO, slow),), 60.0)
    assert tuned.changes == {"threads": 2}
    assert tuned.gain_percent == pytest.approx(100 * (4 / 3 - 1), abs=0.1)
    assert tuned.message == "Preset saved: threads=2. Requests are answered 33 % sooner"
    same = Tuned(model, AUTO, slow, AUTO, slow, (), 60.0)
    assert (same.changes, same.gain_percent) == ({}, 0.0)
    assert "nothing was changed" in same.message


def test_a_choice_in_words() -> None:
    assert describe(AUTO) == "threads auto, batches auto, f16"
    assert describe(Choice(1, 256, "q8_0")) == "1 thread, batches of 256, q8_0"
