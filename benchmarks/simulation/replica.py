"""One replica: slots, a line of those that wait for one, and the prompts that it still has."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from benchmarks.simulation.shape import KEPT_PROMPTS, SLOTS


@dataclass(eq=False)
class Request:
    """One turn of a conversation."""

    conversation: int
    model: int
    turns_left: int
    arrived_s: float
    gateway: int = 0
    replica: int = -1
    began_s: float = -1.0


@dataclass(eq=False)
class Replica:
    """A node that runs one model."""

    number: int
    model: int
    running: set[Request] = field(default_factory=set)
    waiting: deque[Request] = field(default_factory=deque)
    prompts: OrderedDict[int, None] = field(default_factory=OrderedDict)
    is_lost: bool = False

    @property
    def in_flight(self) -> int:
        return len(self.running) + len(self.waiting)

    @property
    def has_slot(self) -> bool:
        return len(self.running) < SLOTS

    def note_prompt(self, conversation: int) -> bool:
        """Keep the conversation's prompt; whether it was there already."""
        was_there = conversation in self.prompts
        self.prompts[conversation] = None
        self.prompts.move_to_end(conversation)
        if len(self.prompts) > KEPT_PROMPTS:
            self.prompts.popitem(last=False)
        return was_there
