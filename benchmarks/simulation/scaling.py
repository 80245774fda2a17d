"""Autoscaling from one replica a model: by the rate of requests, or by the length of the queue.

Models are computed as flows in small steps: requests arrive at their rate, and running replicas finish what they can.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.simulation.shape import ANSWER_S, NODES, REQUESTS_PER_SECOND, SLOTS, shares

STEP_S = 0.1
DECIDE_S = 1.0
RUN_S = 60.0
SMOOTHING_S = 3.0
CATCH_UP_S = 20.0
TARGET_USE = 0.9


@dataclass
class Flow:
    """One model: what arrives, waits and runs; `starting` are the times at which further replicas are ready."""

    arrivals_per_second: float
    replicas: int = 1
    waiting: float = 0.0
    running: float = 0.0
    rate: float = 0.0
    starting: list[float] = field(default_factory=list)

    @property
    def nodes(self) -> int:
        return self.replicas + len(self.starting)

    def step(self, now_s: float) -> None:
        ready = [at for at in self.starting if at <= now_s]
        self.replicas += len(ready)
        self.starting = [at for at in self.starting if at > now_s]
        self.rate += (self.arrivals_per_second - self.rate) * STEP_S / SMOOTHING_S
        self.waiting += self.arrivals_per_second * STEP_S
        self.running -= self.running * STEP_S / ANSWER_S
        begun = min(self.waiting, self.replicas * SLOTS - self.running)
        self.waiting, self.running = self.waiting - begun, self.running + begun


def by_rate(flow: Flow) -> int:
    """The product's rule."""
    return math.ceil((flow.rate + flow.waiting / CATCH_UP_S) * ANSWER_S / (TARGET_USE * SLOTS))


def by_queue(flow: Flow) -> int:
    """One more for each full set of slots that waits."""
    return flow.nodes + math.ceil(flow.waiting / SLOTS)


@dataclass(frozen=True)
class Scaled:
    """Requests that waited at the worst moment and at the end, and how fast they grew in the last seconds."""

    most: float
    end: float
    growth_per_second: float


def scale(rule: Callable[[Flow], int], start_s: float) -> Scaled:
    """A minute of the whole load from a cold start, when a replica takes `start_s` to load."""
    flows = [Flow(share * REQUESTS_PER_SECOND) for share in shares()]
    waiting = list[float]()
    for step in range(round(RUN_S / STEP_S)):
        now_s = step * STEP_S
        for flow in flows:
            flow.step(now_s)
        if step % round(DECIDE_S / STEP_S) == 0:
            _decide(flows, rule, now_s + start_s)
        waiting.append(sum(flow.waiting for flow in flows))
    last = waiting[-round(5 / STEP_S)]
    return Scaled(max(waiting), waiting[-1], (waiting[-1] - last) / 5)


def _decide(flows: list[Flow], rule: Callable[[Flow], int], ready_s: float) -> None:
    """Give out the free nodes in the order in which models ask, as independent owners would."""
    free = NODES - sum(flow.nodes for flow in flows)
    for flow in flows:
        more = min(free, max(0, rule(flow) - flow.nodes))
        flow.starting += [ready_s] * more
        free -= more
