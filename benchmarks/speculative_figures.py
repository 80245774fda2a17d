"""Speculative decoding by `ngram` against none: where the answer repeats the prompt, and in prose.

The rates are the engine's own (`timings`), so reading the prompt does not count. Prose, where `ngram` cannot help,
shows what it costs when nothing is proposed; the text must be the same.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.processes import BareEngine, bare_engine
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread

KINDS = ("off", "ngram")
# It must pay where it is meant to, even with a model so small that checking a proposal costs nearly as much as
# computing it. In prose it may lose little: that it loses anything is why it is not a default (decision 31).
MIN_REPEATED, MIN_PROSE = 1.1, 0.95
TIMEOUT_S = 300.0
_FUNCTION = '''def area_of_{name}(width: float, height: float) -> float:
    """The area of a {name}, in square meters."""
    if width < 0 or height < 0:
        raise ValueError("a {name} has no negative side")
    return width * height
'''
FILE = "\n\n".join(_FUNCTION.format(name=name) for name in ("field", "wall", "window", "garden"))
TASKS = {
    "a file repeated with one change": (
        f"Here is a file:\n```python\n{FILE}```\nWrite the whole file again with `area_of_wall` renamed to "
        "`surface_of_wall`. Write only the file."
    ),
    "prose": "Write a long story about a lighthouse keeper, a storm and a stranger, with many details.",
}
TOKENS = {"a file repeated with one change": 220, "prose": 160}


@dataclass(frozen=True)
class Answer:
    """One answer: its tokens per second, its text, and how many tokens were proposed and accepted."""

    tokens_per_s: float
    text: str
    drafted: int
    accepted: int


def speculative_figures(folder: Path, model_file: Path, rounds: int) -> list[Figure]:
    """Tokens/s of one client with `ngram` and without, for each task; both engines run, one at a time is asked."""
    with (
        bare_engine(folder / "speculative-off", model_file, {"speculative": "off"}) as off,
        bare_engine(folder / "speculative-ngram", model_file, {"speculative": "ngram"}) as ngram,
    ):
        engines = {"off": off, "ngram": ngram}
        figures: list[Figure] = []
        for task, prompt in TASKS.items():
            for engine in engines.values():
                _ask(engine, prompt, 8)  # fills the prompt cache

            def measure(number: int, prompt: str = prompt, tokens: int = TOKENS[task]) -> dict[str, Answer]:
                return {
                    kind: _ask(engines[kind], prompt, tokens)
                    for kind in sorted(KINDS, reverse=bool(number % 2))
                }

            figures.append(_figure(task, gather(rounds, measure)))
        return figures


def _ask(engine: BareEngine, prompt: str, tokens: int) -> Answer:
    body = {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
    }
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=TIMEOUT_S)
    try:
        headers = {"Authorization": f"Bearer {engine.key}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    timings = answer["timings"]
    return Answer(
        float(timings["predicted_per_second"]),
        str(answer["choices"][0]["message"]["content"]),
        int(timings.get("draft_n") or 0),
        int(timings.get("draft_n_accepted") or 0),
    )


def _figure(task: str, rounds: list[dict[str, Answer]]) -> Figure:
    least = MIN_PROSE if task == "prose" else MIN_REPEATED
    ratio = median(one["ngram"].tokens_per_s / one["off"].tokens_per_s for one in rounds)
    drafted = sum(one["ngram"].drafted for one in rounds)
    accepted = sum(one["ngram"].accepted for one in rounds)
    same = sum(one["ngram"].text == one["off"].text for one in rounds)
    share = f", {accepted / drafted:.0%} of {drafted} proposed accepted" if drafted else ", nothing proposed"
    return Figure(
        f"tokens/s with ngram, {task}",
        spread([one["ngram"].tokens_per_s for one in rounds], 1),
        f"off {spread([one['off'].tokens_per_s for one in rounds], 1)}{share}, same text {same}/{len(rounds)}",
        f"{ratio:.3f}",
        f">= {least}",
        ratio >= least,
    )
