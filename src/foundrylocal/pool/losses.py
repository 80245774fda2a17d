"""Workers that end by themselves: noted in the roster, counted, and told to whoever brings the model back.

Invariant: a lost node, or one that could not get the files, says nothing about the model, so it is not counted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from foundrylocal.engine.replica import Cause, ReplicaEvent, ReplicaState
from foundrylocal.kit.broadcast import Broadcast, Subscription
from foundrylocal.pool.cooldown import Cooldowns
from foundrylocal.pool.loading import FAILED_LOAD_PAUSE_S
from foundrylocal.pool.roster import Replica, Roster, State
from foundrylocal.settings.store import SettingsStore

log = logging.getLogger("foundrylocal.FoundryLocalService")


@dataclass(frozen=True, slots=True)
class ReplicaLost:
    """The worker of a replica that took requests has crashed, or its node was lost.

    `restart_delay_s` is how long to wait before it is loaded again; None: it crashed too often, do not try.
    """

    replica: Replica
    reason: str
    restart_delay_s: float | None


class Losses:
    """Counts crashes by model, so that each restart waits longer than the one before."""

    def __init__(self, roster: Roster, cooldowns: Cooldowns, settings: SettingsStore) -> None:
        self._roster = roster
        self._cooldowns = cooldowns
        self._settings = settings
        self._events: Broadcast[ReplicaLost] = Broadcast()

    def events(self) -> Subscription[ReplicaLost]:
        """The losses from now on."""
        return self._events.subscribe()

    def note(self, event: ReplicaEvent) -> None:
        """Take note of what a launcher says of a replica; everything but a failure is known already."""
        replica = self._roster.find(event.id)
        if event.state is not ReplicaState.FAILED or replica is None:
            return
        took_requests = replica.state in (State.READY, State.YIELDING)
        reason = event.reason or "The worker exited without an error message."
        self._roster.set_gone(replica, reason, event.cause or Cause.WORKER)
        if took_requests:
            self._events.publish(ReplicaLost(replica, reason, self._restart_delay_s(replica, reason)))

    def _restart_delay_s(self, replica: Replica, reason: str) -> float | None:
        if replica.lost_cause is Cause.WORKER:
            return self._count(replica, reason)
        log.error("%s was lost with its node '%s': %s", replica.id, replica.node, reason)
        return 0.0

    def _count(self, replica: Replica, reason: str) -> float | None:
        count = self._cooldowns.count(replica.model)
        delays = self._settings.current.restart_delays_seconds
        delay_s = delays[count] if count < len(delays) else None
        self._cooldowns.note(replica.model, reason, FAILED_LOAD_PAUSE_S if delay_s is None else delay_s)
        log.error("The worker of %s exited unexpectedly: %s", replica.model.simple_name, reason)
        return delay_s
