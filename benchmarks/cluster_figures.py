"""What a cluster costs the service, and what more nodes bring: TCP against UNIX sockets; one, two and four replicas.

The replicas are fake workers of this machine, at a fixed pace: only the service's part is measured.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.processes import MODEL, ROOT, Service, service
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread
from benchmarks.streams import Target, measure_clients

CHAT = "/v1/chat/completions"
TCP_PROGRAM = ("-m", "benchmarks.tcp_workers")
TCP_RATIO = 1.1
# One chunk at a time: chunks that arrive together are relayed together, which costs less.
RELAY_STREAMS, RELAY_PER_S, RELAY_TOKENS = 8, 200, 600

NODES = (1, 2, 4)
NODE_SLOTS, NODE_PER_S, NODE_TOKENS = 4, 50, 200
NODES_RATIO = 3.7
READY_TIMEOUT_S = 30.0


def cluster_figures(folder: Path, rounds: int) -> list[Figure]:
    """CPU of a chunk by TCP, and tokens a second of several nodes."""
    return [*_tcp_figures(folder, rounds), *_node_figures(folder, rounds)]


@contextmanager
def _fake_service(
    home: Path,
    slots: int,
    rate: int,
    tokens: int,
    replicas: int = 1,
    program: tuple[str, ...] = ("-m", "foundrylocal"),
) -> Iterator[tuple[Service, Target]]:
    """A service with fake workers, started with its model, and the address of its gateway."""
    fake = [sys.executable, str(ROOT / "tests" / "fakes" / "worker.py")]
    fake += ["--rate", str(rate), "--tokens", str(tokens), "--slots", str(slots)]
    settings = {
        "FOUNDRYLOCAL_WORKER_COMMAND": shlex.join(fake),
        "FOUNDRYLOCAL_PARALLEL": str(slots),
        "FOUNDRYLOCAL_REPLICAS": str(replicas),
    }
    with service(home, settings, program) as running:
        answer = running.call("POST", "/start", {"model_name": MODEL, "port": 0})
        _wait_replicas(running, replicas)
        yield running, Target(CHAT, port=answer["port"], key=answer["api_key"])


def _wait_replicas(running: Service, replicas: int) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while sum(one["state"] == "ready" for one in running.call("GET", "/cluster")["replicas"]) < replicas:
        if time.monotonic() > deadline:
            raise RuntimeError(f"Not {replicas} replicas within {READY_TIMEOUT_S:g} s")
        time.sleep(0.05)


def _tcp_figures(folder: Path, rounds: int) -> list[Figure]:
    sizes = (RELAY_STREAMS, RELAY_PER_S, RELAY_TOKENS)
    with (
        _fake_service(folder / "unix-home", *sizes) as by_unix,
        _fake_service(folder / "tcp-home", *sizes, program=TCP_PROGRAM) as by_tcp,
    ):
        assert not _listens_by_tcp(by_unix[0])
        assert _listens_by_tcp(by_tcp[0])

        def measure(number: int) -> tuple[float, float]:
            order = (by_unix, by_tcp) if number % 2 else (by_tcp, by_unix)
            costs = {side[0].port: _chunk_us(*side) for side in order}
            return costs[by_unix[0].port], costs[by_tcp[0].port]

        measure(-1)
        unix, tcp = (list(values) for values in zip(*gather(rounds, measure), strict=True))
    ratio = median(one / other for one, other in zip(tcp, unix, strict=True))
    return [
        Figure(
            "CPU us a relayed chunk, worker by TCP",
            spread(tcp, 1),
            f"UNIX socket {spread(unix, 1)}",
            f"{ratio:.2f}",
            f"<= {TCP_RATIO:g}",
            ratio <= TCP_RATIO,
        )
    ]


def _listens_by_tcp(running: Service) -> bool:
    """Whether its workers do."""
    return any(child.net_connections("tcp") for child in running.process.children())


def _chunk_us(running: Service, target: Target) -> float:
    before = running.cpu_s()
    events = sum(one.events for one in measure_clients(target, None, RELAY_TOKENS, RELAY_STREAMS))
    return (running.cpu_s() - before) / events * 1e6


def _node_figures(folder: Path, rounds: int) -> list[Figure]:
    rates: dict[int, list[float]] = {}
    for nodes in NODES:
        home = folder / f"nodes-home-{nodes}"
        with _fake_service(home, NODE_SLOTS, NODE_PER_S, NODE_TOKENS, nodes) as (_, target):
            clients = nodes * NODE_SLOTS

            def measure(number: int, target: Target = target, clients: int = clients) -> float:
                began = time.perf_counter()
                tokens = sum(one.tokens for one in measure_clients(target, None, NODE_TOKENS, clients))
                return tokens / (time.perf_counter() - began)

            measure(-1)
            rates[nodes] = gather(rounds, measure)
    one = median(rates[NODES[0]])
    return [_nodes_figure(nodes, taken, median(taken) / one) for nodes, taken in rates.items()]


def _nodes_figure(nodes: int, taken: list[float], ratio: float) -> Figure:
    is_last = nodes == NODES[-1]
    return Figure(
        f"tokens/s of {nodes} fake node{'s' if nodes > 1 else ''}",
        spread(taken, 0),
        f"{NODE_SLOTS} slots of {NODE_PER_S}/s each",
        f"{ratio:.2f}",
        f">= {NODES_RATIO:g}" if is_last else "",
        ratio >= NODES_RATIO if is_last else None,
    )
