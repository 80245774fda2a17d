"""Which replica gets a turn of a conversation: how much of its prompt is read anew, by the policy of the choice.

Two replicas of the real model. Round robin and least in flight are chosen by this program between two services with
one replica each; the product's own choice is made by one service with two; what one replica with as many slots reads
anew is the least that there is.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.processes import MODEL, Service, service
from benchmarks.report import Figure

CONVERSATIONS = 8
TURNS = 5
AT_ONCE = 4  # clients; each has several conversations, and goes on with one at random
SLOTS = 8
CONTEXT_TOKENS = 8192
ANSWER_TOKENS = 16
TIMEOUT_S = 300.0
MAX_RATIO = 1.1
SYSTEM = "You are a careful assistant. " + "Answer in one short sentence, and never repeat yourself. " * 8


@dataclass
class Read:
    """Tokens of the prompts of later turns, and how many of them the engine read anew."""

    prompt_tokens: int = 0
    anew_tokens: int = 0

    @property
    def share(self) -> float:
        return self.anew_tokens / max(1, self.prompt_tokens)


@dataclass
class _Conversation:
    number: int
    messages: list[dict[str, str]] = field(default_factory=lambda: [{"role": "system", "content": SYSTEM}])

    def next_turn(self) -> list[dict[str, str]]:
        turn = len(self.messages) // 2
        text = f"This is talk {self.number}. What can you say of the number {self.number * 100 + turn}?"
        self.messages.append({"role": "user", "content": text})
        return self.messages


@dataclass
class _Target:
    url: str
    key: str
    in_flight: int = 0


Choose = Callable[[Sequence[_Target]], _Target]


def replica_figures(folder: Path, rounds: int) -> list[Figure]:
    """The share of prompt tokens in later turns that are read anew, over some rounds of conversations."""
    rotation = itertools.count()
    chance = random.Random(1)

    def in_turn(targets: Sequence[_Target]) -> _Target:
        return targets[next(rotation) % len(targets)]

    def least_busy(targets: Sequence[_Target]) -> _Target:
        least = min(one.in_flight for one in targets)
        return chance.choice([one for one in targets if one.in_flight == least])

    one = _measure(folder / "one", 1, SLOTS, "1", in_turn, rounds)
    prefix = _measure(folder / "prefix", 1, SLOTS // 2, "2", in_turn, rounds)
    robin = _measure(folder / "robin", 2, SLOTS // 2, "1", in_turn, rounds)
    least = _measure(folder / "least", 2, SLOTS // 2, "1", least_busy, rounds)
    ratio = prefix.share / one.share
    return [
        Figure(
            "prompt tokens of later turns read anew, 2 replicas, %",
            f"{prefix.share:.1%}",
            f"1 replica {one.share:.1%}, least in flight {least.share:.1%}, round robin {robin.share:.1%}",
            ratio=f"{ratio:.2f}",
            target=f"<= {MAX_RATIO:g} of 1 replica",
            is_ok=ratio <= MAX_RATIO,
        )
    ]


def _measure(folder: Path, services: int, slots: int, replicas: str, choose: Choose, rounds: int) -> Read:
    settings = {
        "FOUNDRYLOCAL_REPLICAS": replicas,
        "FOUNDRYLOCAL_PARALLEL": str(slots),
        "FOUNDRYLOCAL_CONTEXT_SIZE": str(CONTEXT_TOKENS),
        "FOUNDRYLOCAL_THREADS": "1",
        "FOUNDRYLOCAL_PROMPT_CACHE_MB": "0",
    }
    read = Read()
    with ExitStack() as stack:
        running = [stack.enter_context(service(folder / str(number), settings)) for number in range(services)]
        targets = [_start(one, int(replicas)) for one in running]
        for number in range(rounds):
            asyncio.run(_talk(targets, choose, number, read))
    return read


def _start(running: Service, replicas: int) -> _Target:
    running.call("POST", "/start", {"model_name": MODEL})
    health = running.call("GET", "/status")["health"]
    while sum(one["state"] == "ready" for one in running.call("GET", "/machine")["models"]) < replicas:
        time.sleep(0.1)
    return _Target(health["endpoint"], health["api_key"])


async def _talk(targets: Sequence[_Target], choose: Choose, round_number: int, read: Read) -> None:
    """All conversations at once, each client going on with one of its own at random, so that turns interleave."""
    numbers = range(round_number * CONVERSATIONS, (round_number + 1) * CONVERSATIONS)
    talks = [_Conversation(number) for number in numbers]
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        await asyncio.gather(
            *(
                _go_on(client, targets, choose, talks[one::AT_ONCE], random.Random(one), read)
                for one in range(AT_ONCE)
            )
        )


async def _go_on(
    client: httpx.AsyncClient,
    targets: Sequence[_Target],
    choose: Choose,
    talks: list[_Conversation],
    chance: random.Random,
    read: Read,
) -> None:
    left = [talk for talk in talks for _ in range(TURNS)]
    chance.shuffle(left)
    for talk in left:
        is_first = len(talk.messages) == 1
        target = choose(targets)
        target.in_flight += 1
        try:
            usage, text = await _ask(client, target, talk.next_turn())
        finally:
            target.in_flight -= 1
        talk.messages.append({"role": "assistant", "content": text})
        if not is_first:
            cached = usage["prompt_tokens_details"]["cached_tokens"]
            read.prompt_tokens += usage["prompt_tokens"]
            read.anew_tokens += usage["prompt_tokens"] - cached


async def _ask(client: httpx.AsyncClient, target: _Target, messages: list[dict[str, str]]):  # type: ignore[no-untyped-def]
    body = {"model": MODEL, "messages": messages, "max_tokens": ANSWER_TOKENS, "temperature": 0}
    headers = {"Authorization": f"Bearer {target.key}"}
    answer = await client.post(f"{target.url}/chat/completions", json=body, headers=headers)
    answer.raise_for_status()
    found = answer.json()
    return found["usage"], found["choices"][0]["message"]["content"]
