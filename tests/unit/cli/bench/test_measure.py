"""What is measured of a model, on models that a test plays."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from foundrylocal.cli.bench import history
from foundrylocal.cli.bench.machine import describe_machine
from foundrylocal.cli.bench.measure import CLIENTS, MAX_PROMPT_WORDS, ModelFigures, measure_model
from foundrylocal.cli.bench.report import rows
from foundrylocal.cli.bench.stream import Streamed, prompt_of


class FakeModel:
    """Reads and answers at fixed rates; a request waits for those before it."""

    def __init__(self, prefill: float, decode: float) -> None:
        self.prefill, self.decode = prefill, decode
        self.numbers: list[int] = []
        self.largest_prompt = 0
        self._lock = threading.Lock()

    def ask(self, words: int, number: int, tokens: int) -> Streamed:
        with self._lock:
            self.numbers.append(number)
            self.largest_prompt = max(self.largest_prompt, words)
            first_s = words / self.prefill
        return Streamed(words, 0, tokens, first_s, first_s + (tokens - 1) / self.decode)


def measure(model: FakeModel) -> ModelFigures:
    return measure_model("Tiny", model.ask, 100, lambda text: None)


def test_rates_are_what_an_application_sees() -> None:
    figures = measure(FakeModel(400.0, 50.0))
    assert figures.prefill_tokens_per_second == pytest.approx(400, rel=0.01)
    assert figures.decode_tokens_per_second == pytest.approx(50, rel=0.01)
    assert [one.clients for one in figures.by_clients] == list(CLIENTS)
    assert all(one.first_token_ms == pytest.approx(60, rel=0.01) for one in figures.by_clients)


def test_no_prompt_is_asked_twice() -> None:
    model = FakeModel(400.0, 50.0)
    measure(model)
    assert len(set(model.numbers)) == len(model.numbers)
    assert len({prompt_of(64, number) for number in model.numbers}) == len(model.numbers)


@pytest.mark.parametrize("rate", [0.5, 1e6])
def test_slow_and_fast_models_are_measured_within_bounds(rate: float) -> None:
    model = FakeModel(rate, rate)
    measure(model)
    assert model.largest_prompt <= MAX_PROMPT_WORDS


def test_a_part_that_came_from_the_cache_was_not_read() -> None:
    assert Streamed(100, 60, 2, 0.1, 0.2).prefill_rate == pytest.approx(400)
    assert Streamed(100, 0, 11, 0.1, 0.6).decode_rate == pytest.approx(20)


# --- the history ------------------------------------------------------------------------------------------


def run_of(model: str, rate: float) -> history.Run:
    return {"at": "2026-01-01T00:00:00Z", "figures": {"model": model, "decode_tokens_per_second": rate}}


def test_the_newest_runs_are_kept(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert history.read_runs(state) == []
    runs = [run_of("a", number) for number in range(history.MAX_RUNS + 20)]
    assert history.keep_runs(state, [*runs, run_of("b", 7)]) is None
    kept = history.read_runs(state)
    assert len(kept) == history.MAX_RUNS
    assert history.last_of(kept, "a") == runs[-1]
    assert history.last_of(kept, "c") is None


@pytest.mark.parametrize("text", ["", "[", "[]", '{"runs": 5}', '{"runs": [1, {"figures": 2}]}'])
def test_a_damaged_history_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / history.FILE_NAME).write_text(text)
    assert history.read_runs(tmp_path) == []


def test_a_history_that_cannot_be_saved_says_why(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert history.keep_runs(tmp_path / "state", [])


# --- the table --------------------------------------------------------------------------------------------


def test_each_model_is_a_column_beside_its_last_run() -> None:
    now = measure(FakeModel(400.0, 50.0)).as_json()
    before = measure(FakeModel(400.0, 40.0)).as_json()
    shown = dict((name, cells) for name, *cells in rows([now, now], [before, None]))
    assert shown["answer tokens/s"] == ["50.0 (+25 %)", "50.0"]
    assert shown["prompt tokens/s"][0].endswith("(=)")
    assert "first token ms, 16 clients" in shown


def test_a_last_run_of_another_version_is_compared_where_it_can_be() -> None:
    now = measure(FakeModel(400.0, 50.0)).as_json()
    assert rows([now], [{"model": "Tiny"}])[0] == ("prompt tokens/s", "400.0")


def test_the_machine_is_described(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Great CPU 9000\n")
    machine = describe_machine(tmp_path / "cpuinfo")
    assert machine["processor"] == "Great CPU 9000"
    assert machine["cores"] >= 1
    assert describe_machine(tmp_path / "absent")["processor"]
