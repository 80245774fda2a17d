"""Coming back to a long conversation: the first token cold, after an unload and after a switch; what saving costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.processes import MODEL, SECOND_MODEL, Service, fetch_model, service
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread
from benchmarks.streams import Target, measure

PROMPT_TOKENS = 2_700
FACTS = 175  # of 15 or 16 tokens
MIN_SPEEDUP = 20.0
MAX_STOP_COST_S = 1.0
# One of the two models fits, so that a switch unloads the other.
ROOM_FOR_ONE_MB = "500"
TIMEOUT_S = 600.0
PATH = "/v1/completions"


@dataclass(frozen=True)
class Visit:
    """One conversation: seconds to the first token, and to the end of a stop."""

    cold_s: float
    after_unload_s: float
    after_switch_s: float
    stop_s: float
    stop_without_s: float
    files_when_off: int


def prompt_figures(folder: Path, rounds: int) -> list[Figure]:
    """A conversation of about 2,700 tokens, a new one in each round."""
    fetch_model(folder / "second-home", SECOND_MODEL)
    with (
        _server(folder / "prompts", {}) as kept,
        _server(folder / "no-prompts", {"PROMPT_CACHE_MB": "0"}) as off,
    ):

        def visit(number: int) -> Visit:
            number += 1
            cold_s = _first_token_s(kept, _conversation(number))
            kept.call("POST", f"/models/{MODEL}/unload")
            kept.call("POST", f"/models/{MODEL}/load")
            after_unload_s = _first_token_s(kept, _conversation(number, 1))
            kept.call("POST", "/switch-model", {"model_name": SECOND_MODEL})
            kept.call("POST", "/switch-model", {"model_name": MODEL})
            after_switch_s = _first_token_s(kept, _conversation(number, 2))
            # A part is enough: what is not saved takes the same time to stop, however long it is.
            _first_token_s(off, _conversation(number)[:1000])
            stops = [_stop_s(one) for one in (kept, off)]
            files = _saved_files(folder / "no-prompts")
            kept.call("DELETE", "/prompt-cache")
            return Visit(cold_s, after_unload_s, after_switch_s, *stops, files)

        return _figures(gather(rounds, visit))


@contextmanager
def _server(home: Path, settings: Mapping[str, str]) -> Iterator[Service]:
    given = {"MEMORY_BUDGET_MB": ROOM_FOR_ONE_MB, "CONTEXT_SIZE": "4096", **settings}
    with service(home, {f"FOUNDRYLOCAL_{name}": value for name, value in given.items()}) as running:
        running.call("POST", "/start", {"model_name": MODEL})
        yield running


def _saved_files(home: Path) -> int:
    return len(list((home / "state").glob("prompt-cache*")))


def _conversation(number: int, turns: int = 0) -> str:
    """A text that no other round begins with; each turn adds to its end."""
    facts = (f"Fact {number}-{index}: {number * 7919 + index * 31} is odd. " for index in range(FACTS))
    return "".join(facts) + "And then? " * turns


def _first_token_s(running: Service, prompt: str) -> float:
    health = running.call("GET", "/status")["health"]
    port = int(health["endpoint"].rpartition(":")[2].partition("/")[0])
    target = Target(PATH, port=port, key=health["api_key"], asks={"prompt": prompt})
    return asyncio.run(measure(target, MODEL, 2, TIMEOUT_S)).first_token_s


def _stop_s(running: Service) -> float:
    began = time.perf_counter()
    running.call("POST", "/stop")
    took_s = time.perf_counter() - began
    running.call("POST", "/start", {"model_name": MODEL})
    return took_s


def _figures(visits: list[Visit]) -> list[Figure]:
    cold = spread([one.cold_s for one in visits], 2)
    costs = [one.stop_s - one.stop_without_s for one in visits]
    files = max(one.files_when_off for one in visits)
    return [
        _speedup("after unload and load", cold, [(one.cold_s, one.after_unload_s) for one in visits]),
        _speedup("after a switch there and back", cold, [(one.cold_s, one.after_switch_s) for one in visits]),
        Figure(
            "stop with saving, s more",
            spread(costs, 2),
            f"a stop without: {spread([one.stop_without_s for one in visits], 2)} s",
            target=f"<= {MAX_STOP_COST_S:g} s",
            is_ok=median(costs) <= MAX_STOP_COST_S,
        ),
        Figure("saved files with the cache off", str(files), target="0", is_ok=not files),
    ]


def _speedup(when: str, cold: str, pairs: list[tuple[float, float]]) -> Figure:
    ratio = median(cold_s / warm_s for cold_s, warm_s in pairs)
    return Figure(
        f"first token of a {PROMPT_TOKENS}-token prompt s, {when}",
        spread([warm_s for _, warm_s in pairs], 3),
        f"cold: {cold} s",
        f"{ratio:.0f}",
        f">= {MIN_SPEEDUP:g} times sooner",
        ratio >= MIN_SPEEDUP,
    )
