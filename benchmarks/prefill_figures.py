"""A long prompt beside four streams: their longest pause, and what short batches cost in speed of reading."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.processes import BareEngine, bare_engine
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread

STREAMS = 4
PROMPT_TOKENS = 6_000
CONTEXT_TOKENS = 8_192
# What the prompt leaves of the context, shared by the streams.
STREAM_TOKENS = (CONTEXT_TOKENS - PROMPT_TOKENS - 400) // STREAMS
COMPARED_BATCH = 512
MAX_GAP_S = 2.0
TIMEOUT_S = 600.0
_TOKEN = b'"delta":{"content":"'


@dataclass(frozen=True)
class Prefill:
    """One prompt: the longest pause of any stream while it was read, and its tokens per second."""

    gap_s: float
    tokens_per_s: float


@dataclass
class _Stream:
    arrivals_s: list[float] = field(default_factory=list)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, engine: BareEngine, number: int) -> None:
        body = {"messages": _said(f"Story {number}"), "max_tokens": STREAM_TOKENS}
        reader, writer = await _post(engine, body | {"stream": True, "ignore_eos": True})
        try:
            while read := await reader.read(65536):
                self.arrivals_s += [time.perf_counter()] * read.count(_TOKEN)
                if self.arrivals_s:
                    self.has_begun.set()
        finally:
            writer.close()

    def longest_gap_s(self, began_s: float, ended_s: float) -> float:
        """Between two tokens, or a token and an end of the time looked at."""
        inside = [began_s, *(at for at in self.arrivals_s if began_s < at < ended_s), ended_s]
        return max(later - earlier for earlier, later in itertools.pairwise(inside))


def prefill_figures(
    folder: Path,
    model_file: Path,
    rounds: int,
    batches: Sequence[int | None] = (None, COMPARED_BATCH),
    prompt_tokens: int = PROMPT_TOKENS,
) -> list[Figure]:
    """The worker's own batch rule (None) compared with other sizes of a batch."""

    def measure(number: int) -> dict[int | None, Prefill]:
        found: dict[int | None, Prefill] = {}
        for batch in batches if number % 2 == 0 else reversed(batches):
            options = {"context_size": CONTEXT_TOKENS, "parallel": STREAMS + 1, "batch_tokens": batch}
            with bare_engine(folder / f"prefill-{batch}", model_file, options) as engine:
                found[batch] = asyncio.run(_beside_streams(engine, prompt_tokens))
        return found

    results = gather(rounds, measure)
    return [figure for batch in batches for figure in _figures(batch, results)]


def _figures(batch: int | None, results: list[dict[int | None, Prefill]]) -> list[Figure]:
    is_rule = batch is None
    name = "the worker's own batches" if is_rule else f"batches of {batch}"
    gaps = [one[batch].gap_s for one in results]
    speeds = [one[batch].tokens_per_s for one in results]
    ratio = median(one[batch].tokens_per_s / one[COMPARED_BATCH].tokens_per_s for one in results)
    return [
        Figure(
            f"longest pause of {STREAMS} streams s, {name}",
            spread(gaps, 2),
            f"a prompt of {PROMPT_TOKENS} tokens",
            target=f"<= {MAX_GAP_S:g} s" if is_rule else "",
            is_ok=max(gaps) <= MAX_GAP_S if is_rule else None,
        ),
        Figure(
            f"prompt tokens/s beside {STREAMS} streams, {name}",
            spread(speeds, 0),
            f"batches of {COMPARED_BATCH}",
            f"{ratio:.2f}",
        ),
    ]


async def _beside_streams(engine: BareEngine, prompt_tokens: int) -> Prefill:
    async with asyncio.timeout(TIMEOUT_S):
        streams = [_Stream() for _ in range(STREAMS)]
        tasks = [asyncio.create_task(stream.read(engine, number)) for number, stream in enumerate(streams)]
        for stream in streams:
            await stream.has_begun.wait()
        began_s = time.perf_counter()
        reader, writer = await _post(engine, {"messages": _said("word " * prompt_tokens), "max_tokens": 1})
        answer = await reader.read()
        ended_s = time.perf_counter()
        writer.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    timings = json.loads(answer.partition(b"\r\n\r\n")[2])["timings"]
    if timings["prompt_n"] < prompt_tokens:
        raise RuntimeError(f"The prompt had {timings['prompt_n']} tokens")
    gaps = [stream.longest_gap_s(began_s, ended_s) for stream in streams]
    return Prefill(max(gaps), timings["prompt_n"] / timings["prompt_ms"] * 1000)


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def _post(
    engine: BareEngine, body: dict[str, object]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    data = json.dumps(body).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
    writer.write(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {engine.key}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
        + data
    )
    return reader, writer
