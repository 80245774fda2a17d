"""Chats through the gateway and at a bare engine, interleaved; a start compared with a bare load."""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from benchmarks.processes import (
    MODEL,
    SECOND_MODEL,
    Service,
    bare_engine,
    fetch_model,
    interpreter_start_s,
    service,
)
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread
from benchmarks.streams import Target, measure_clients

Sides = dict[str, tuple[Target, str | None]]

CLIENTS: dict[int, float | None] = {1: 0.98, 4: 0.97, 16: 0.97, 64: None}
FIRST_TOKEN_CLIENTS = (1, 4)  # more clients than slots would measure the queue
# Tokens of each client's chat: for all clients together, a second or two of work on a small machine.
TOKENS = {1: 160, 4: 40, 16: 32, 64: 8}
# One pair of chats differs from the next by 5 % anyway, so a round has several.
RATE_TURNS = {1: 6, 4: 6, 16: 3, 64: 2}
FIRST_TOKENS = 6
FIRST_TOKEN_ADDED_MS = 10.0
START_FACTOR = 1.3


def chat_figures(folder: Path, model_file: Path, rounds: int) -> list[Figure]:
    """Tokens/s and time to first token, at each number of clients."""
    with service(folder / "chat-home") as running, bare_engine(folder / "bare", model_file) as bare:
        sides: Sides = {
            "bare": (Target("/v1/chat/completions", port=bare.port, key=bare.key), None),
            "gateway": (_start(running), None),
        }
        figures: list[Figure] = []
        for clients, least in CLIENTS.items():
            for target, model in sides.values():
                measure_clients(target, model, 8, clients)  # fills the prompt cache of every slot
            rates = gather(rounds, functools.partial(measure_rates, sides, clients))
            figures.append(compare_rates(clients, least, rates))
            if clients in FIRST_TOKEN_CLIENTS:
                firsts = gather(rounds, functools.partial(measure_firsts, sides, clients))
                figures.append(compare_firsts(clients, FIRST_TOKEN_ADDED_MS, firsts))
        running.call("POST", "/stop")
    return figures


def measure_rates(sides: Sides, clients: int, number: int) -> dict[str, float]:
    """Tokens/s of one round: the tokens of all clients over the time of the slowest, both sides in turn."""
    tokens = dict.fromkeys(sides, 0)
    took_s = dict.fromkeys(sides, 0.0)
    for turn in range(RATE_TURNS[clients]):
        for name in _in_turn(sides, number + turn):
            batch = measure_clients(*sides[name], TOKENS[clients], clients)
            tokens[name] += sum(one.tokens for one in batch)
            took_s[name] += max(one.total_s for one in batch)
    return {name: tokens[name] / took_s[name] for name in sides}


def measure_firsts(sides: Sides, clients: int, number: int) -> dict[str, float]:
    """Milliseconds to the first token in one round: the median of several short chats per side, in turn."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(FIRST_TOKENS):
        for name in _in_turn(sides, number + turn):
            batch = measure_clients(*sides[name], 2, clients)
            found[name] += [one.first_token_s * 1000 for one in batch]
    return {name: median(values) for name, values in found.items()}


def _in_turn(sides: Sides, number: int) -> list[str]:
    """Alternate the order, so that a drift of the machine favors neither side."""
    return sorted(sides, reverse=bool(number % 2))


def _start(running: Service) -> Target:
    answer = running.call("POST", "/start", {"model_name": MODEL, "port": 0})
    return Target("/v1/chat/completions", port=answer["port"], key=answer["api_key"])


def compare_rates(
    clients: int, least: float | None, rounds: list[dict[str, float]], *, who: str = ""
) -> Figure:
    """The figure of `measure_rates`; `least` is the minimum ratio."""
    ratio = median(one["gateway"] / one["bare"] for one in rounds)
    return Figure(
        f"{who}tokens/s, {_who(clients)}",
        spread([one["gateway"] for one in rounds], 1),
        f"bare {spread([one['bare'] for one in rounds], 1)}",
        f"{ratio:.3f}",
        "" if least is None else f">= {least}",
        None if least is None else ratio >= least,
    )


def compare_firsts(
    clients: int, most_ms: float | None, rounds: list[dict[str, float]], *, who: str = ""
) -> Figure:
    """The figure of `measure_firsts`; `most_ms` is the maximum added latency."""
    added_ms = median(one["gateway"] - one["bare"] for one in rounds)
    return Figure(
        f"{who}first token ms, {_who(clients)}",
        spread([one["gateway"] for one in rounds], 1),
        f"bare {spread([one['bare'] for one in rounds], 1)}",
        f"{added_ms:+.1f} ms",
        "" if most_ms is None else f"<= +{most_ms:.0f} ms",
        None if most_ms is None else added_ms <= most_ms,
    )


def _who(clients: int) -> str:
    return "1 client" if clients == 1 else f"{clients} clients"


def change_figures(folder: Path, model_file: Path, rounds: int) -> list[Figure]:
    """Loading on demand, and a switch during chats, compared with a bare load."""
    fetch_model(folder / "second-home", SECOND_MODEL)
    with service(folder / "change-home") as running:
        target = _start(running)

        def measure(number: int) -> tuple[float, float, float]:
            began = time.perf_counter()
            measure_clients(target, SECOND_MODEL, 1, 1)
            demand_s = time.perf_counter() - began
            running.call("POST", f"/models/{SECOND_MODEL}/unload")
            with ThreadPoolExecutor() as pool:
                chats = pool.submit(measure_clients, target, MODEL, TOKENS[4], 4)
                began = time.perf_counter()
                running.call("POST", "/switch-model", {"model_name": SECOND_MODEL})
                switch_s = time.perf_counter() - began
                chats.result()
            running.call("POST", "/switch-model", {"model_name": MODEL})
            running.call("POST", f"/models/{SECOND_MODEL}/unload")
            with bare_engine(folder / f"change-{number}", model_file) as bare:
                return demand_s, switch_s, bare.load_s

        measure(-1)
        demands, switches, loads = (list(values) for values in zip(*gather(rounds, measure), strict=True))
    bare_text = f"bare load of the first {spread(loads, 2)}"
    return [
        Figure("first answer of a model loaded on demand s", spread(demands, 2), bare_text),
        Figure("switch under 4 chats s", spread(switches, 2), bare_text),
    ]


def start_figures(folder: Path, model_file: Path, rounds: int) -> list[Figure]:
    """From POST /start to its answer, compared with the engine's own load of the same file."""
    with service(folder / "start-home") as running:

        def measure(number: int) -> tuple[float, float, float]:
            began = time.perf_counter()
            running.call("POST", "/start", {"model_name": MODEL, "port": 0})
            start_s = time.perf_counter() - began
            running.call("POST", "/stop")
            with bare_engine(folder / f"load-{number}", model_file) as bare:
                return start_s, bare.load_s, interpreter_start_s()

        measure(-1)  # warms the file cache
        starts, loads, interpreters = (list(values) for values in zip(*gather(rounds, measure), strict=True))
    bounds = [START_FACTOR * load + start for load, start in zip(loads, interpreters, strict=True)]
    used = median(ours / bound for ours, bound in zip(starts, bounds, strict=True))
    return [
        Figure(
            "start to ready s",
            spread(starts, 2),
            f"bare load {spread(loads, 2)}",
            f"{median(a / b for a, b in zip(starts, loads, strict=True)):.2f}",
            f"<= 1.3 x load + interpreter = {median(bounds):.2f}",
            used <= 1.0,
        )
    ]
