"""A launcher in memory, at the edge where real ones start processes: it implements `engine.launcher.Launcher`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import anyio

from foundrylocal.engine.node import NodeState, NodeStatus, NodeVersions, own_versions
from foundrylocal.engine.replica import (
    Address,
    Adopted,
    Cause,
    ReplicaEvent,
    ReplicaSpec,
    ReplicaState,
    ReplicaStatus,
    Room,
)
from foundrylocal.errors import (
    ClusterUnreachable,
    NodeLost,
    ServerStartFailed,
    ServerStartTimeout,
    WorkerCrashed,
)
from foundrylocal.kit.broadcast import Broadcast, Subscription


@dataclass
class Behavior:
    """How the replicas of one model behave; times in seconds."""

    load_s: float = 1.0
    stop_s: float = 0.1
    fails_with: str | None = None
    raises: Exception | None = None  # by a launch, and by a probe
    is_silent: bool = False  # does not answer probes


@dataclass(eq=False)
class FakeReplica:
    """One replica that the launcher runs."""

    spec: ReplicaSpec
    incarnation: int
    node: str = ""
    state: ReplicaState = ReplicaState.LOADING
    reason: str | None = None
    grown_bytes: int = 0  # what it takes beyond its estimate
    ended: anyio.Event = field(default_factory=anyio.Event)


class FakeLauncher:
    """`running` are its replicas by id; `history` is what was asked of it, as `launch ID`, `stop ID`, `kill ID`.

    `nodes` are the bytes of memory of each node; one that is in `suspects` is listed, but has not answered lately,
    and the models of `lacking` have no files there. Without `nodes` there is this machine, with `total_bytes`.
    """

    def __init__(self, total_bytes: int = 1 << 40, nodes: Mapping[str, int] | None = None) -> None:
        self.nodes = dict(nodes or {"": total_bytes})
        self.suspects: set[str] = set()
        self.dying: set[str] = set()  # still listed, but no replica starts there any more
        self.spoiled: set[str] = set()  # nodes that cannot get any model's files
        self.lacking: dict[str, set[str]] = {}  # by node, model ids
        self.gpus: dict[str, tuple[int, ...]] = {}  # free bytes, by node
        self.unreachable: ClusterUnreachable | None = None  # what asking for rooms raises
        self.adoptable: list[Adopted] = []
        self.is_unreachable = False  # the cluster, when its nodes are asked for
        self.versions: dict[str, NodeVersions] = {}  # by node; others run what this program is
        self.behaviors: dict[str, Behavior] = {}
        self.running: dict[str, FakeReplica] = {}
        self.history: list[str] = []
        self.probes = 0
        self.was_overcommitted = False  # more was launched than there is memory
        self._events: Broadcast[ReplicaEvent] = Broadcast()
        self._incarnations = itertools.count(1)

    # --- what a test does -------------------------------------------------------------------------------

    @property
    def total_bytes(self) -> int:
        """The memory of this machine."""
        return self.nodes[""]

    @total_bytes.setter
    def total_bytes(self, total_bytes: int) -> None:
        self.nodes[""] = total_bytes

    def behavior(self, model_id: str) -> Behavior:
        """The behavior of a model's replicas, to be changed."""
        return self.behaviors.setdefault(model_id, Behavior())

    def of(self, model_id: str) -> list[FakeReplica]:
        return [one for one in self.running.values() if one.spec.model_id == model_id]

    def on(self, node: str) -> list[FakeReplica]:
        return [one for one in self.running.values() if one.node == node]

    def lose(self, node: str) -> None:
        """Take the node away with everything that ran on it."""
        self.nodes.pop(node)
        for one in self.on(node):
            self._end(one, ReplicaState.FAILED, f"Node '{node}' was lost.", Cause.NODE)

    def fail(self, replica: str, reason: str = "The worker was killed by SIGSEGV.") -> None:
        """End one replica as a crash does."""
        self._end(self.running[replica], ReplicaState.FAILED, reason)

    def crash(self, model_id: str, reason: str = "The worker was killed by SIGSEGV.") -> None:
        """End the model's replicas as a crash does."""
        for one in self.of(model_id):
            self._end(one, ReplicaState.FAILED, reason)

    # --- the Launcher protocol --------------------------------------------------------------------------

    async def rooms(self, spec: ReplicaSpec | None = None, reserve_bytes: int = 0) -> list[Room]:
        await anyio.lowlevel.checkpoint()
        if self.unreachable is not None:
            raise self.unreachable
        return [
            Room(
                node,
                total_bytes - reserve_bytes - sum(map(_taken_bytes, self.on(node))),
                has_files=spec is None or spec.model_id not in self.lacking.get(node, ()),
                is_suspect=node in self.suspects,
                gpus=self.gpus.get(node, ()),
            )
            for node, total_bytes in self.nodes.items()
        ]

    async def node_statuses(self, reserve_bytes: int = 0) -> list[NodeStatus]:
        if self.is_unreachable:
            raise ClusterUnreachable("The head does not answer.")
        return [
            NodeStatus(
                room.node,
                room.node or "127.0.0.1",
                NodeState.SUSPECT if room.is_suspect else NodeState.ALIVE,
                is_service=room.node == next(iter(self.nodes)),
                memory_bytes=self.nodes[room.node],
                free_bytes=max(0, room.free_bytes),
                versions=self.versions.get(room.node, own_versions()),
                reason="It does not answer." if room.is_suspect else None,
            )
            for room in await self.rooms(reserve_bytes=reserve_bytes)
        ]

    async def adopted(self) -> list[Adopted]:
        await anyio.lowlevel.checkpoint()
        found, self.adoptable = self.adoptable, []
        for one in found:
            replica = FakeReplica(one.spec, one.address.incarnation, one.node, ReplicaState.READY)
            self.running[one.spec.id] = replica
        return found

    async def launch(self, spec: ReplicaSpec, node: str = "") -> str:
        await anyio.lowlevel.checkpoint()
        assert spec.id not in self.running
        if node not in self.nodes or node in self.dying:
            raise NodeLost(node)
        if (error := self.behavior(spec.model_id).raises) is not None:
            raise error
        self.history.append(f"launch {spec.id}")
        self.running[spec.id] = FakeReplica(spec, next(self._incarnations), node)
        if sum(one.spec.memory_bytes for one in self.on(node)) > self.nodes[node]:
            self.was_overcommitted = True
        return spec.id

    async def wait_ready(
        self,
        replica: str,
        timeout_s: float | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> Address:
        one = self.running.get(replica)
        if one is None:
            raise ServerStartFailed("It was stopped before it was ready.")
        behavior = self.behavior(one.spec.model_id)
        limit_s = 180.0 if timeout_s is None else timeout_s  # it shows no progress
        with anyio.move_on_after(limit_s):
            with anyio.move_on_after(behavior.load_s):
                await one.ended.wait()
            if one.state is ReplicaState.LOADING and one.node in self.spoiled:
                self.suspects.add(one.node)
                self._end(one, ReplicaState.FAILED, f"No disk space on '{one.node}'.", Cause.FILES)
            if one.state is ReplicaState.LOADING and behavior.fails_with is not None:
                self._end(one, ReplicaState.FAILED, behavior.fails_with)
            if one.state is not ReplicaState.LOADING:
                raise ServerStartFailed(one.reason or "It was stopped before it was ready.")
            if on_progress is not None:
                on_progress(0.99)
            one.state = ReplicaState.READY
            return Address(f"unix:///{replica}", "", one.incarnation)
        raise ServerStartTimeout(limit_s)

    async def probe(self, replica: str, timeout_s: float) -> float:
        self.probes += 1
        one = self.running.get(replica)
        if one is None or self.behavior(one.spec.model_id).is_silent:
            await anyio.sleep(timeout_s if one else 0)
            raise WorkerCrashed("It did not answer a health check.")
        if (error := self.behavior(one.spec.model_id).raises) is not None:
            raise error
        await anyio.lowlevel.checkpoint()
        return 0.001

    async def inspect(self, replica: str) -> ReplicaStatus | None:
        one = self.running.get(replica)
        return self._status(one) if one else None

    async def list(self) -> list[ReplicaStatus]:
        return [self._status(one) for one in self.running.values()]

    async def stop(self, replica: str) -> None:
        self.history.append(f"stop {replica}")
        one = self.running.get(replica)
        if one is None:
            await anyio.lowlevel.checkpoint()
            return
        await anyio.sleep(self.behavior(one.spec.model_id).stop_s)
        self._end(one, ReplicaState.STOPPED, None)

    async def kill(self, replica: str) -> None:
        self.history.append(f"kill {replica}")
        await anyio.lowlevel.checkpoint()
        one = self.running.get(replica)
        if one is not None:
            self._end(one, ReplicaState.FAILED, "The worker was killed by SIGKILL.")

    def events(self) -> Subscription[ReplicaEvent]:
        return self._events.subscribe()

    async def close(self) -> None:
        for one in list(self.running.values()):
            self._end(one, ReplicaState.STOPPED, None)

    # --- inside -----------------------------------------------------------------------------------------

    def _end(
        self, one: FakeReplica, state: ReplicaState, reason: str | None, cause: Cause = Cause.WORKER
    ) -> None:
        if one.ended.is_set():
            return
        one.state, one.reason = state, reason
        self.running.pop(one.spec.id, None)
        one.ended.set()
        failed_by = cause if state is ReplicaState.FAILED else None
        self._events.publish(ReplicaEvent(one.spec.id, one.incarnation, state, reason, one.node, failed_by))

    def _status(self, one: FakeReplica) -> ReplicaStatus:
        spec = one.spec
        return ReplicaStatus(
            spec.id, spec.model_id, one.state, one.reason, None, _taken_bytes(one), node=one.node
        )


def _taken_bytes(one: FakeReplica) -> int:
    return one.spec.memory_bytes + one.grown_bytes
