"""Moves one replica of a model to another node: it is loaded there first, and then leaves where it was.

Invariants: the model never has fewer replicas for a move, and no other model leaves for it. A move that fails changes
nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio

from foundrylocal.engine.replica import node_name
from foundrylocal.errors import ClusterUnreachable
from foundrylocal.pool.leaving import Leaving
from foundrylocal.pool.loading import Loading
from foundrylocal.pool.planner import Planner
from foundrylocal.pool.roster import Entry, Replica, Roster, State
from foundrylocal.pool.spreading import Move, choose_move

log = logging.getLogger("foundrylocal.FoundryLocalService")


class Moving:
    """Carries out what `choose_move` decides; `clock` is that of the roster."""

    def __init__(
        self,
        planner: Planner,
        roster: Roster,
        loading: Loading,
        leaving: Leaving,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._planner = planner
        self._roster = roster
        self._loading = loading
        self._leaving = leaving
        self._clock = clock

    async def move_one(self, entry: Entry, count: Callable[[], int]) -> None:
        """Move one of the model's replicas if that spreads them better; `count` is how many it is to have then.

        Raises what `load_another` raises; then each replica is where it was.
        """
        move = await self._find(entry)
        if move is None:
            return
        one, node = move.replica, move.node
        log.info(
            "%s moves from node %s to %s, where fewer of its model are",
            one.id,
            node_name(one.node),
            node_name(node),
        )
        await self._loading.load_another(entry.model, node)
        # If a replica was lost meanwhile, the new one takes its place.
        if one.state is State.READY and len(entry.of(State.READY)) > count():
            self._leaving.retire(one)

    async def _find(self, entry: Entry) -> Move[Replica] | None:
        ready = entry.of(State.READY)
        if not ready:
            return None
        try:
            rooms, _ = await self._planner.rooms(self._roster.candidates, ready[0].spec)
        except ClusterUnreachable:
            return None
        return choose_move(entry.of(State.READY), rooms, self._clock())
