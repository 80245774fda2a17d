"""How a request finds its replica, by the requests in flight that the gateway knows of.

`known[i]` counts what it has at candidate `i`. One gateway knows everything; of several, each knows its own requests.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from benchmarks.simulation.shape import SLOTS

# How far the home of a conversation may be ahead of the replica with the fewest in flight, as in the product.
MAX_AHEAD = 1

Policy = Callable[[Sequence[int], int, random.Random], int]
"""Counts of the candidates, the conversation, chance -> the index of the candidate."""


def least(known: Sequence[int], conversation: int, chance: random.Random) -> int:
    """The fewest in flight; ties at random."""
    fewest = min(known)
    ties = [index for index, count in enumerate(known) if count == fewest]
    return ties[0] if len(ties) == 1 else chance.choice(ties)


def two_choices(known: Sequence[int], conversation: int, chance: random.Random) -> int:
    """The better of two at random."""
    one, other = chance.randrange(len(known)), chance.randrange(len(known))
    return one if known[one] <= known[other] else other


def prefix(known: Sequence[int], conversation: int, chance: random.Random) -> int:
    """The conversation's home, while it is at most MAX_AHEAD ahead and has a slot if any has; else the fewest."""
    home = (conversation * 2_654_435_761 >> 8) % len(known)  # stands for rendezvous hashing of its opening
    fewest = min(known)
    has_slot = known[home] < SLOTS or fewest >= SLOTS
    return home if has_slot and known[home] <= fewest + MAX_AHEAD else least(known, conversation, chance)


POLICIES: dict[str, Policy] = {"least in flight": least, "two choices": two_choices, "prefix": prefix}
