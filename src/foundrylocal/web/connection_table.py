"""The open connections of one port, bounded in total and for each peer.

Invariant: when the bound is reached, the connection that has waited longest for its client makes room for the
new one. Only when all of them are being answered is the new one refused.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from foundrylocal.errors import SystemExhausted

PEER_SHARE = 0.75


class TooManyConnections(SystemExhausted):
    """Every connection that this port allows is being answered."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} connections are open and all of them are busy")
        self.message = "Too many connections"


class Connection(Protocol):
    """What the table needs of a connection; it is hashed by identity."""

    def evict(self) -> None:
        """Close at once."""


class ConnectionTable:
    """Admits connections; they report when they are busy, idle, or gone."""

    def __init__(self, max_total: int, max_per_peer: int | None = None) -> None:
        self._max_total = max_total
        self._max_per_peer = max_per_peer or max(1, int(max_total * PEER_SHARE))
        self._peers: dict[Connection, str] = {}
        self._counts: Counter[str] = Counter()
        # Dicts keep their order: the first entry is the one that has been idle for longest.
        self._idle: dict[Connection, None] = {}
        self._idle_of_peer: dict[str, dict[Connection, None]] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def admit(self, connection: Connection, peer: str) -> None:
        """Add a connection, idle at first; evict an idle one if there is no room. Raises TooManyConnections."""
        if self._counts[peer] >= self._max_per_peer and not self._evict_longest_idle(
            self._idle_of_peer.get(peer, {})
        ):
            raise TooManyConnections(self._max_per_peer)
        if len(self._peers) >= self._max_total and not self._evict_longest_idle(self._idle):
            raise TooManyConnections(self._max_total)
        self._peers[connection] = peer
        self._counts[peer] += 1
        self.mark_idle(connection)

    def mark_idle(self, connection: Connection) -> None:
        """The connection waits for its client, from now on."""
        peer = self._peers.get(connection)
        if peer is not None:
            self._forget_idle(connection, peer)
            self._idle[connection] = None
            self._idle_of_peer.setdefault(peer, {})[connection] = None

    def mark_busy(self, connection: Connection) -> None:
        """A whole request has arrived: its client waits for the answer."""
        peer = self._peers.get(connection)
        if peer is not None:
            self._forget_idle(connection, peer)

    def remove(self, connection: Connection) -> None:
        """The connection is gone; a second call does nothing."""
        peer = self._peers.pop(connection, None)
        if peer is None:
            return
        self._forget_idle(connection, peer)
        self._counts[peer] -= 1
        if not self._counts[peer]:
            del self._counts[peer]

    def _forget_idle(self, connection: Connection, peer: str) -> None:
        self._idle.pop(connection, None)
        of_peer = self._idle_of_peer.get(peer)
        if of_peer is not None:
            of_peer.pop(connection, None)
            if not of_peer:
                del self._idle_of_peer[peer]

    def _evict_longest_idle(self, idle: dict[Connection, None]) -> bool:
        victim = next(iter(idle), None)
        if victim is None:
            return False
        self.remove(victim)
        victim.evict()
        return True
