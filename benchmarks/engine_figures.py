"""Chats through the gateway against the same chats at a bare engine, interleaved; start against bare load."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.processes import MODEL, Service, bare_engine, interpreter_start_s, service
from benchmarks.report import Figure, spread
from benchmarks.streams import Measured, Target, measure_clients

MAX_TOKENS = 96
CLIENTS = {1: 0.98, 4: 0.97}
FIRST_TOKEN_ADDED_MS = 10.0
START_FACTOR = 1.3


def chat_figures(folder: Path, model_file: Path, rounds: int) -> list[Figure]:
    """Tokens/s and time to first token, at each number of clients."""
    with service(folder / "chat-home") as running, bare_engine(folder / "bare", model_file) as bare:
        sides = {
            "bare": (Target("/v1/chat/completions", socket=bare.socket), None),
            "gateway": (_start(running), None),
        }
        figures: list[Figure] = []
        for clients, least in CLIENTS.items():
            for target, model in sides.values():
                measure_clients(target, model, 8, clients)  # fills the prompt cache of every slot
            taken: dict[str, list[list[Measured]]] = {name: [] for name in sides}
            for number in range(rounds):
                # Each second round the other way round, so that a drift of the machine favours nobody.
                for name in sorted(sides, reverse=bool(number % 2)):
                    target, model = sides[name]
                    taken[name].append(measure_clients(target, model, MAX_TOKENS, clients))
            figures += _compare(clients, least, taken)
        running.call("POST", "/stop")
    return figures


def _start(running: Service) -> Target:
    answer = running.call("POST", "/start", {"model_name": MODEL, "port": 0})
    return Target("/v1/chat/completions", port=answer["port"], key=answer["api_key"])


def _compare(clients: int, least: float, taken: dict[str, list[list[Measured]]]) -> list[Figure]:
    rates = {name: [_rate(batch) for batch in batches] for name, batches in taken.items()}
    ratio = median(ours / bare for ours, bare in zip(rates["gateway"], rates["bare"], strict=True))
    firsts = {
        name: [median(one.first_token_s for one in batch) * 1000 for batch in batches]
        for name, batches in taken.items()
    }
    added_ms = median(ours - bare for ours, bare in zip(firsts["gateway"], firsts["bare"], strict=True))
    who = f"{clients} client{'s' if clients > 1 else ''}"
    return [
        Figure(
            f"tokens/s, {who}",
            spread(rates["gateway"], 1),
            f"bare {spread(rates['bare'], 1)}",
            f"{ratio:.3f}",
            f">= {least}",
            ratio >= least,
        ),
        Figure(
            f"first token ms, {who}",
            spread(firsts["gateway"], 1),
            f"bare {spread(firsts['bare'], 1)}",
            f"{added_ms:+.1f} ms",
            f"<= +{FIRST_TOKEN_ADDED_MS:.0f} ms",
            added_ms <= FIRST_TOKEN_ADDED_MS,
        ),
    ]


def _rate(batch: list[Measured]) -> float:
    """Tokens of all clients over the time that the slowest took."""
    return sum(one.tokens for one in batch) / max(one.total_s for one in batch)


def start_figures(folder: Path, model_file: Path, rounds: int) -> list[Figure]:
    """From POST /start to its answer, against the engine's own load of the same file."""
    import time

    starts: list[float] = []
    loads: list[float] = []
    interpreters: list[float] = []
    with service(folder / "start-home") as running:
        for number in range(rounds + 1):
            began = time.perf_counter()
            running.call("POST", "/start", {"model_name": MODEL, "port": 0})
            start_s = time.perf_counter() - began
            running.call("POST", "/stop")
            with bare_engine(folder / f"load-{number}", model_file) as bare:
                load_s = bare.load_s
            if number:  # the first one warms the file cache
                starts.append(start_s)
                loads.append(load_s)
                interpreters.append(interpreter_start_s())
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
