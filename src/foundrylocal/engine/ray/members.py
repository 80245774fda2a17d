"""What the service knows of each replica that it has launched on the cluster.

Invariant: a replica's state moves forward only, and each step is published once; a final one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from foundrylocal.engine.ray import failures
from foundrylocal.engine.ray.orders import Phase, Update
from foundrylocal.engine.replica import (
    Address,
    Cause,
    ReplicaEvent,
    ReplicaSpec,
    ReplicaState,
    ReplicaStatus,
)
from foundrylocal.errors import FoundryLocalError
from foundrylocal.kit.changes import Changes

MAX_ENDED = 32
_STATES = {
    Phase.BEGUN: ReplicaState.PENDING,
    Phase.FILES: ReplicaState.LOADING,
    Phase.LOADING: ReplicaState.LOADING,
    Phase.READY: ReplicaState.READY,
    Phase.FAILED: ReplicaState.FAILED,
    Phase.STOPPED: ReplicaState.STOPPED,
}
_FINAL = (ReplicaState.FAILED, ReplicaState.STOPPED)


@dataclass(eq=False)
class Member:
    """One replica on a node; `name` is its actor's. `offers` are the paths of its files here, by sha256."""

    spec: ReplicaSpec
    node: str
    name: str
    incarnation: int
    offers: dict[str, str]
    state: ReplicaState = ReplicaState.PENDING
    phase: Phase = Phase.BEGUN
    share: float = 0.0
    reason: str | None = None
    failure: FoundryLocalError | None = None
    cause: Cause | None = None
    address: Address | None = None
    pid: int | None = None
    memory_bytes: int = 0
    is_launched: bool = False  # its actor has its order
    is_stop_asked: bool = False
    is_kill_asked: bool = False
    changes: Changes = field(default_factory=Changes)

    @property
    def has_ended(self) -> bool:
        return self.state in _FINAL

    @property
    def is_settled(self) -> bool:
        """Ready, or ended before it was."""
        return self.has_ended or self.address is not None

    def status(self) -> ReplicaStatus:
        return ReplicaStatus(
            self.spec.id, self.spec.model_id, self.state, self.reason, self.pid, self.memory_bytes, self.node
        )


class Members:
    """The owner of all members; `publish` gets each step of each of them."""

    def __init__(self, publish: Callable[[ReplicaEvent], None]) -> None:
        self._publish = publish
        self._members: dict[str, Member] = {}
        self._ended: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def get(self, replica: str) -> Member | None:
        """The member, unless it has ended."""
        return self._members.get(replica)

    def find(self, replica: str) -> Member | None:
        """The member, or one that ended a moment ago: whoever waits for it has to hear why."""
        return self._members.get(replica) or self._ended.get(replica)

    def add(self, member: Member) -> None:
        self._members[member.spec.id] = member

    def discard(self, member: Member) -> None:
        """It was never launched."""
        self._members.pop(member.spec.id, None)

    def held_bytes(self, node: str) -> int:
        """Memory that its replicas hold on a node, by their plans."""
        return sum(one.spec.memory_bytes for one in self._members.values() if one.node == node)

    def held_gpu_bytes(self, node: str) -> int:
        """Memory that its replicas hold on the GPUs of a node, by their plans."""
        return sum(one.spec.gpu_bytes for one in self._members.values() if one.node == node)

    def apply(self, replica: str, update: Update) -> None:
        """Its actor says how far it is."""
        member = self._members.get(replica)
        if member is None:
            return
        member.phase, member.share = update.phase, update.share
        member.pid, member.memory_bytes = update.pid, update.memory_bytes
        if update.phase is Phase.READY and member.address is None and update.address is not None:
            member.address = _at(update.address, member.incarnation)
        if update.phase is Phase.FAILED:
            cause = Cause(update.cause) if update.cause else Cause.WORKER
            failure = failures.decode(update.failure, member.node) if update.failure else None
            self.fail(member, update.reason or "The worker ended.", cause, failure)
        else:
            self._move(member, _STATES[update.phase])

    def fail(
        self, member: Member, reason: str, cause: Cause, failure: FoundryLocalError | None = None
    ) -> None:
        """It has ended by itself; one that was asked to stop is stopped."""
        if member.is_stop_asked:
            self._move(member, ReplicaState.STOPPED)
            return
        if not member.has_ended:
            member.reason, member.cause, member.failure = reason, cause, failure
        self._move(member, ReplicaState.FAILED)

    def stopped(self, member: Member) -> None:
        """It has ended as it was asked to."""
        self._move(member, ReplicaState.STOPPED)

    def _move(self, member: Member, state: ReplicaState) -> None:
        is_news = state is not member.state and not member.has_ended
        if is_news:
            member.state = state
            if member.has_ended:
                self._note_end(member)
        member.changes.notify()
        if is_news:
            self._publish(
                ReplicaEvent(
                    member.spec.id, member.incarnation, state, member.reason, member.node, member.cause
                )
            )

    def _note_end(self, member: Member) -> None:
        self._members.pop(member.spec.id, None)
        self._ended[member.spec.id] = member
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]


def _at(address: Address, incarnation: int) -> Address:
    """The address by the service's own count of incarnations: a node counts from 1 for each replica."""
    return replace(address, incarnation=incarnation)
