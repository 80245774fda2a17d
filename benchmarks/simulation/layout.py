"""Who balances over which replicas: one who knows all, gateways that share all, or a cell for each gateway."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from dataclasses import dataclass, field

from benchmarks.simulation.replica import Request
from benchmarks.simulation.shape import MODELS


@dataclass
class Layout:
    """`gateways` balance independently; `owner[replica]` is the one that owns it, empty when all share all."""

    gateways: int
    models_of: list[int]  # the model of each replica
    owner: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._candidates: dict[tuple[int, int], list[int]] = {}
        for replica, model in enumerate(self.models_of):
            for gateway in [self.owner[replica]] if self.owner else range(self.gateways):
                self._candidates.setdefault((gateway, model), []).append(replica)
        self._gateways_of = [
            [gateway for gateway in range(self.gateways) if (gateway, model) in self._candidates]
            for model in range(MODELS)
        ]
        self._upto = [
            list(
                itertools.accumulate(
                    len(self._candidates[gateway, model]) for gateway in self._gateways_of[model]
                )
            )
            for model in range(MODELS)
        ]

    def candidates(self, gateway: int, model: int) -> list[int]:
        """The replicas of the model that the gateway may use."""
        return self._candidates[gateway, model]

    def remove(self, replica: int) -> None:
        """It is lost; requests for a model that has no other one wait for it."""
        for candidates in self._of(replica):
            if len(candidates) > 1:
                candidates.remove(replica)

    def restore(self, replica: int) -> None:
        """Another node has taken its place."""
        for candidates in self._of(replica):
            if replica not in candidates:
                candidates.append(replica)

    def _of(self, replica: int) -> list[list[int]]:
        model = self.models_of[replica]
        gateways = [self.owner[replica]] if self.owner else range(self.gateways)
        return [self._candidates[gateway, model] for gateway in gateways]

    def choose_gateway(self, request: Request, chance: random.Random) -> int:
        """Where the front sends it: to any gateway, or to the cell of its model and conversation."""
        if not self.owner:
            return chance.randrange(self.gateways)
        weights = self._upto[request.model]
        point = (request.conversation * 2_654_435_761 % 2**32) / 2**32 * weights[-1]
        return self._gateways_of[request.model][min(len(weights) - 1, bisect_right(weights, point))]


def all_known(models_of: list[int]) -> Layout:
    """One balancer that knows every request; no gateway could carry that load."""
    return Layout(1, models_of)


def shared(models_of: list[int], gateways: int) -> Layout:
    """Every gateway uses every replica, and knows of its own requests only."""
    return Layout(gateways, models_of)


def cells(models_of: list[int], gateways: int) -> Layout:
    """Every replica belongs to one gateway; neighbours run the same model, so that a cell has few models."""
    size = len(models_of) / gateways
    return Layout(gateways, models_of, [int(replica / size) for replica in range(len(models_of))])
