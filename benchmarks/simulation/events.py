"""The cluster under load, event by event: arrivals, ends of answers, the loss of nodes.

Invariant: every request that arrived is answered, waiting, running, or was lost after its first byte.
"""

from __future__ import annotations

import heapq
import itertools
import random
from bisect import bisect_left
from dataclasses import dataclass, field

from benchmarks.simulation.layout import Layout
from benchmarks.simulation.policies import Policy
from benchmarks.simulation.replica import Replica, Request
from benchmarks.simulation.shape import (
    ANSWER_S,
    MODELS,
    REQUESTS_PER_SECOND,
    SLOTS,
    THINK_S,
    TURNS,
    percentile,
    shares,
)

RUN_S = 40.0
WARM_UP_S = 20.0
# Until gateways know that a node is lost, its requests fail over one by one.
REPEAT_S = 0.5
# Until another node has loaded the model of a lost one.
REPLACE_S = 3.0


@dataclass
class Result:
    """What the requests after the warm-up saw; shares are of them."""

    waits: list[float] = field(default_factory=list)
    later_turns: int = 0
    hits: int = 0
    beyond_slots: int = 0
    arrived: int = 0
    begun_lost: int = 0
    repeated: int = 0
    by_gateway: dict[int, int] = field(default_factory=dict)

    @property
    def wait_p99_s(self) -> float:
        return percentile(self.waits, 0.99)

    @property
    def hit_share(self) -> float:
        """Of the later turns of conversations, those whose prompt was still there."""
        return self.hits / max(1, self.later_turns)

    @property
    def busiest_gateway(self) -> float:
        """Requests a second of the busiest one."""
        return max(self.by_gateway.values(), default=0) / (RUN_S - WARM_UP_S)


class Simulation:
    """One run; `lost` nodes go at `lost_at_s`."""

    def __init__(
        self, layout: Layout, policy: Policy, seed: int = 1, lost: int = 0, lost_at_s: float = 30.0
    ) -> None:
        self._layout, self._policy = layout, policy
        self._chance = random.Random(seed)
        self._replicas = [Replica(number, model) for number, model in enumerate(layout.models_of)]
        self._known = [[0] * len(self._replicas) for _ in range(layout.gateways)]
        self._events: list[tuple[float, int, str, object]] = []
        self._numbers = itertools.count()
        self._conversations = itertools.count()
        self._shares = list(itertools.accumulate(shares()))
        # Conversations that are under way when the run begins.
        under_way = int(REQUESTS_PER_SECOND * THINK_S)
        self._idle = [
            Request(next(self._conversations), self._pick_model(), self._chance.randrange(1, TURNS), 0.0)
            for _ in range(under_way)
        ]
        self.result = Result()
        self._push(0.0, "arrive", None)
        if lost:
            self._push(lost_at_s, "lose", lost)

    def run(self) -> Result:
        handlers = {
            "arrive": self._arrive,
            "end": self._end,
            "lose": self._lose,
            "repeat": self._repeat,
            "replace": self._replace,
        }
        while self._events and self._events[0][0] <= RUN_S:
            self._now, _, kind, what = heapq.heappop(self._events)
            handlers[kind](what)
        return self.result

    def _push(self, at: float, kind: str, what: object) -> None:
        heapq.heappush(self._events, (at, next(self._numbers), kind, what))

    @property
    def _counts(self) -> bool:
        return self._now > WARM_UP_S

    def _arrive(self, _: object) -> None:
        """The next turn of a conversation that waits for one, or the first turn of a new one."""
        self._push(self._now + self._chance.expovariate(REQUESTS_PER_SECOND), "arrive", None)
        request = self._next_turn()
        request.gateway = self._layout.choose_gateway(request, self._chance)
        if self._counts:
            self.result.arrived += 1
            self.result.by_gateway[request.gateway] = self.result.by_gateway.get(request.gateway, 0) + 1
        self._dispatch(request)

    def _next_turn(self) -> Request:
        if self._idle and self._chance.random() > 1 / TURNS:
            position = self._chance.randrange(len(self._idle))
            last = self._idle[position]
            self._idle[position] = self._idle[-1]
            self._idle.pop()
            return Request(last.conversation, last.model, last.turns_left - 1, self._now)
        return Request(next(self._conversations), self._pick_model(), TURNS - 1, self._now)

    def _pick_model(self) -> int:
        return min(MODELS - 1, bisect_left(self._shares, self._chance.random()))

    def _dispatch(self, request: Request) -> None:
        candidates = self._layout.candidates(request.gateway, request.model)
        known = self._known[request.gateway]
        counts = [known[replica] for replica in candidates]
        replica = self._replicas[candidates[self._policy(counts, request.conversation, self._chance)]]
        known[replica.number] += 1
        request.replica = replica.number
        if self._counts and replica.in_flight >= SLOTS:
            self.result.beyond_slots += 1
        replica.waiting.append(request)
        self._begin_next(replica)

    def _begin_next(self, replica: Replica) -> None:
        if replica.is_lost or not replica.waiting or not replica.has_slot:
            return
        request = replica.waiting.popleft()
        replica.running.add(request)
        request.began_s = self._now
        had_prompt = replica.note_prompt(request.conversation)
        if request.arrived_s > WARM_UP_S:
            self.result.waits.append(self._now - request.arrived_s)
            if request.turns_left < TURNS - 1:
                self.result.later_turns += 1
                self.result.hits += had_prompt
        self._push(self._now + ANSWER_S * self._chance.uniform(0.5, 1.5), "end", request)

    def _end(self, request: object) -> None:
        assert isinstance(request, Request)
        replica = self._replicas[request.replica]
        if request not in replica.running:
            return  # it was lost with its node
        replica.running.discard(request)
        self._known[request.gateway][replica.number] -= 1
        if request.turns_left:
            self._idle.append(request)
        self._begin_next(replica)

    def _lose(self, count: object) -> None:
        """Nodes go at once: what had begun is lost, what waited goes elsewhere, and other nodes load the models."""
        assert isinstance(count, int)
        for replica in self._chance.sample(self._replicas, count):
            replica.is_lost = True
            self._layout.remove(replica.number)
            self.result.begun_lost += len(replica.running)
            self.result.repeated += len(replica.waiting)
            for request in replica.running:
                self._known[request.gateway][replica.number] -= 1
            for request in replica.waiting:
                self._known[request.gateway][replica.number] -= 1
                self._push(self._now + REPEAT_S, "repeat", request)
            replica.running.clear()
            replica.waiting.clear()
            replica.prompts.clear()
            self._push(self._now + REPLACE_S, "replace", replica)

    def _repeat(self, request: object) -> None:
        assert isinstance(request, Request)
        self._dispatch(request)

    def _replace(self, replica: object) -> None:
        assert isinstance(replica, Replica)
        replica.is_lost = False
        self._layout.restore(replica.number)
        while replica.waiting and replica.has_slot:
            self._begin_next(replica)
