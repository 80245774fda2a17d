"""What streams cost and how late their tokens arrive, with fake workers that send at the rate a figure needs."""

from __future__ import annotations

import asyncio
import functools
import re
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

from benchmarks.processes import MODEL, ROOT, Service, service
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread
from benchmarks.streams import STREAM_TIMEOUT_S, Target, measure_clients, request

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
CHUNK_US = 90.0
# Fast, but one chunk at a time: chunks that arrive together would be relayed together, which costs less.
RELAY_STREAMS, RELAY_PER_S, RELAY_TOKENS = 8, 200, 600
PATHS = {
    "plain chat": Target(CHAT),
    "chat with usage": Target(CHAT, asks={"stream_options": {"include_usage": True}}),
    "text": Target(TEXT),
    "chat with logprobs, each chunk read": Target(CHAT, asks={"logprobs": True, "top_logprobs": 1}),
}
# The service must parse each chunk of these; there is no target for them.
READ_PATHS = ("chat with logprobs, each chunk read",)

SLOW_STREAMS, SLOW_READERS, SLOW_PER_S, SLOW_TOKENS = 64, 16, 30, 90
SLOW_READ_BYTES, SLOW_PAUSE_S = 256, 0.1
ADDED_P99_MS = 25.0
_STAMP = re.compile(rb'"content":"(\d+) ')


@contextmanager
def _fake_service(
    home: Path, streams: int, rate: int, tokens: int, *flags: str
) -> Iterator[tuple[Service, Target]]:
    """A service with the fake worker, and the address of its gateway."""
    fake = [sys.executable, str(ROOT / "tests" / "fakes" / "worker.py"), *flags]
    fake += ["--rate", str(rate), "--tokens", str(tokens), "--slots", str(streams)]
    settings = {"FOUNDRYLOCAL_WORKER_COMMAND": shlex.join(fake), "FOUNDRYLOCAL_PARALLEL": str(streams)}
    with service(home, settings) as running:
        answer = running.call("POST", "/start", {"model_name": MODEL, "port": 0})
        yield running, Target(CHAT, port=answer["port"], key=answer["api_key"])


def relay_figures(folder: Path, rounds: int) -> list[Figure]:
    """CPU time of the service per relayed chunk, for plain streams and for parsed ones."""
    with _fake_service(folder / "relay-home", RELAY_STREAMS, RELAY_PER_S, RELAY_TOKENS) as (running, target):

        def measure(number: int) -> dict[str, float]:
            costs: dict[str, float] = {}
            for name, path in PATHS.items():
                asked = replace(target, path=path.path, asks=path.asks)
                before = running.cpu_s()
                events = sum(one.events for one in measure_clients(asked, None, RELAY_TOKENS, RELAY_STREAMS))
                costs[name] = (running.cpu_s() - before) / events * 1e6
            return costs

        measure(-1)
        rows = gather(rounds, measure)
    return [_cost(name, [row[name] for row in rows], [row["plain chat"] for row in rows]) for name in PATHS]


def _cost(name: str, costs: list[float], plain: list[float]) -> Figure:
    is_promised = name not in READ_PATHS
    return Figure(
        f"CPU us a relayed chunk, {name}",
        spread(costs, 1),
        f"{RELAY_STREAMS} streams of {RELAY_PER_S}/s",
        f"{median(one / base for one, base in zip(costs, plain, strict=True)):.2f}",
        f"<= {CHUNK_US:.0f} us" if is_promised else "",
        median(costs) <= CHUNK_US if is_promised else None,
    )


def slow_figures(folder: Path, rounds: int) -> list[Figure]:
    """How late tokens reach fast readers beside slow ones: through the gateway, and directly from the worker."""
    home = folder / "slow-home"
    with _fake_service(home, SLOW_STREAMS, SLOW_PER_S, SLOW_TOKENS, "--stamp") as (running, target):
        (worker,) = running.process.children()
        (sock,) = {one.laddr for one in worker.net_connections("unix") if one.laddr}
        sides = {"bare": Target(CHAT, socket=str(sock)), "gateway": target}

        def measure(number: int) -> tuple[dict[str, list[float]], float]:
            found: dict[str, list[float]] = {}
            cost_us = 0.0
            for name in sorted(sides, reverse=bool(number % 2)):
                before = running.cpu_s()
                found[name] = sorted(asyncio.run(_delays_ms(sides[name])))
                if name == "gateway":
                    cost_us = (running.cpu_s() - before) / (SLOW_STREAMS * SLOW_TOKENS) * 1e6
            return found, cost_us

        measure(-1)
        taken = gather(rounds, measure)
    return [
        *(_late(percent, [found for found, _ in taken]) for percent in (50, 99)),
        _slow_cost([c for _, c in taken]),
    ]


def _late(percent: int, rounds: list[dict[str, list[float]]]) -> Figure:
    at = {
        side: [quantiles(one[side], n=100, method="inclusive")[percent - 1] for one in rounds]
        for side in rounds[0]
    }
    added_ms = median(ours - bare for ours, bare in zip(at["gateway"], at["bare"], strict=True))
    return Figure(
        f"token's delay ms, p{percent}, {SLOW_STREAMS} streams of {SLOW_PER_S}/s, {SLOW_READERS} slow",
        spread(at["gateway"], 1),
        f"at the worker {spread(at['bare'], 1)}",
        f"{added_ms:+.1f} ms",
        f"< +{ADDED_P99_MS:.0f} ms" if percent == 99 else "",
        added_ms < ADDED_P99_MS if percent == 99 else None,
    )


def _slow_cost(costs: list[float]) -> Figure:
    return Figure(
        f"CPU us a relayed chunk, {SLOW_STREAMS} streams, {SLOW_READERS} slow",
        spread(costs, 1),
        target=f"<= {CHUNK_US:.0f} us",
        is_ok=median(costs) <= CHUNK_US,
    )


async def _delays_ms(target: Target) -> list[float]:
    """From the sending of each token to its arrival at a fast reader, over all of them."""
    ends = asyncio.Event()
    async with asyncio.timeout(STREAM_TIMEOUT_S), asyncio.TaskGroup() as group:
        slow = functools.partial(_read_slowly, target, ends)
        for _ in range(SLOW_READERS):
            group.create_task(slow())
        fast = [asyncio.create_task(_read_stamps(target)) for _ in range(SLOW_STREAMS - SLOW_READERS)]
        delays = [one for found in await asyncio.gather(*fast) for one in found]
        ends.set()
    return delays


async def _connect(target: Target, receive_bytes: int | None = None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if target.socket else socket.AF_INET)
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, target.socket or ("127.0.0.1", target.port))
    await loop.sock_sendall(sock, request(target, None, SLOW_TOKENS))
    return sock


async def _read_stamps(target: Target) -> list[float]:
    loop = asyncio.get_running_loop()
    delays: list[float] = []
    with await _connect(target) as sock:
        rest = b""
        while b"[DONE]" not in rest:
            read = await loop.sock_recv(sock, 65536)
            now_ns = time.monotonic_ns()
            if not read:
                raise RuntimeError(f"The stream broke off: {rest[-500:]!r}")
            whole, mark, rest = (rest + read).rpartition(b"\n\n")
            delays += [(now_ns - int(stamp)) / 1e6 for stamp in _STAMP.findall(whole)]
            rest = whole[-20:] + mark + rest if b"[DONE]" in whole[-20:] else rest
    if len(delays) != SLOW_TOKENS:
        raise RuntimeError(f"{len(delays)} tokens came instead of {SLOW_TOKENS}")
    return delays


async def _read_slowly(target: Target, ends: asyncio.Event) -> None:
    """A reader that falls ever further behind, until the fast ones are done."""
    loop = asyncio.get_running_loop()
    with await _connect(target, 2048) as sock:
        while not ends.is_set() and await loop.sock_recv(sock, SLOW_READ_BYTES):
            with suppress(TimeoutError):
                await asyncio.wait_for(ends.wait(), SLOW_PAUSE_S)
