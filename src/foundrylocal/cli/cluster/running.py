"""`cluster head` and `cluster join`: run a node of this home in the foreground until a signal ends it.

Invariant: when the command returns, nothing of the node runs any more.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from foundrylocal.cli.cluster.preparing import (
    check_port_is_free,
    home_folders,
    offered_bytes,
    offered_gpus,
    private_session_folder,
    require_token,
    usable_address,
)
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import say
from foundrylocal.engine.node import own_versions
from foundrylocal.engine.ray.node.address import (
    LOOPBACK,
    HeadAddress,
    UnusableAddress,
    own_address_towards,
    parse_head,
)
from foundrylocal.engine.ray.node.command import NodeOffer, head_command, join_command, session_folder
from foundrylocal.engine.ray.node.environment import ray_environment
from foundrylocal.engine.ray.node.process import NodeFailed, NodeProcess
from foundrylocal.engine.ray.node.record import NodeRecord, own_record, recorded_node
from foundrylocal.engine.ray.node.storage import Storage, UnusableStorage, parse_storage
from foundrylocal.engine.ray.node.supervisor import Supervisor
from foundrylocal.engine.ray.node.token import load_or_make_token
from foundrylocal.home.folders import Folders
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.settings.saved_file import change_setting

LOG_NAME = "cluster-node.log"
_LAST_CLUSTER_NOTE = "ray_current_cluster"
_LOOPBACK_STEPS = (
    "Only this machine can join, with another home: foundrylocal cluster join {head} --address 127.0.1.2",
)
_NETWORK_STEPS = (
    "On each further machine, with the token that `foundrylocal cluster token` shows here:",
    "  foundrylocal cluster token --set",
    "  foundrylocal cluster join {head}",
    "Prompts and answers cross the network in clear: keep the nodes in a private network.",
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a node runs, and as what it is on record."""

    record: NodeRecord
    command: Sequence[str]
    environment: Mapping[str, str]
    is_kept: bool = False  # its session, so that a head that starts again finds its nodes


def run_head(address: str | None, port: int, storage: str, memory_mb: int | None) -> None:
    """Start the cluster of this home and run its head. Raises Failure."""
    folders = home_folders()
    head = HeadAddress(usable_address(address or LOOPBACK), port)
    check_port_is_free(head)
    kept = _storage(storage, folders)
    try:
        token = load_or_make_token(folders.state)
        if kept.folder is not None:
            kept.folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Failure(
            "The cluster's files cannot be written", error.strerror or str(error), "foundrylocal doctor"
        ) from error
    offer = NodeOffer(head.host, offered_bytes(folders, memory_mb), gpu_bytes=offered_gpus(folders))
    plan = _Plan(
        own_record("head", head.host, str(head)),
        head_command(offer, head, folders.state, own_versions()),
        {**ray_environment(token), **kept.environment},
        is_kept=kept.is_kept,
    )
    _run(folders, plan, lambda: _head_is_ready(folders, head, offer), must_start=True)


def run_join(cluster: str, address: str | None, memory_mb: int | None) -> None:
    """Run this machine as a node of the cluster. Raises Failure."""
    folders = home_folders()
    try:
        head = parse_head(cluster)
        own = address or own_address_towards(head)
    except UnusableAddress as problem:
        raise Failure(problem.reason, None, problem.action, exit_code=2) from problem
    token = require_token(folders, head)
    offer = NodeOffer(usable_address(own), offered_bytes(folders, memory_mb), gpu_bytes=offered_gpus(folders))
    plan = _Plan(
        own_record("node", offer.address, str(head)),
        join_command(offer, head, folders.state, own_versions()),
        ray_environment(token),
    )
    _run(folders, plan, lambda: _has_joined(head, offer), must_start=False)


def _storage(text: str, folders: Folders) -> Storage:
    try:
        return parse_storage(text, folders.state)
    except UnusableStorage as problem:
        raise Failure(problem.reason, None, problem.action, exit_code=2) from problem


def _run(folders: Folders, plan: _Plan, on_ready: Callable[[], None], *, must_start: bool) -> None:
    private_session_folder(folders)
    output = folders.logs / LOG_NAME
    with recorded_node(folders.state, plan.record), _stop_on_signals() as stop:
        supervisor = Supervisor(lambda: _start(folders, plan, output), say, stop.wait, stop.is_set)
        try:
            supervisor.run(on_ready, must_start=must_start)
        except NodeFailed as failure:
            raise Failure(
                f"The node did not start: {failure.reason}",
                failure.output or None,
                f"foundrylocal cluster doctor, or see {output}",
            ) from failure
        finally:
            if not plan.is_kept:
                shutil.rmtree(session_folder(folders.state), ignore_errors=True)
    say("The node has left the cluster.")


def _start(folders: Folders, plan: _Plan, output: Path) -> NodeProcess:
    # Ray refuses to start a head that its own note names while another node of this machine belongs to that cluster,
    # as the second node of a trial does. Whether the port is free has been checked.
    (session_folder(folders.state) / _LAST_CLUSTER_NOTE).unlink(missing_ok=True)
    return NodeProcess(plan.command, plan.environment, output)


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set."""
    stop = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _head_is_ready(folders: Folders, head: HeadAddress, offer: NodeOffer) -> None:
    try:
        change_setting(folders.config, "cluster_address", str(head))
    except (OSError, ValueError) as error:
        say(
            f"The setting cluster_address cannot be saved ({error}): set FOUNDRYLOCAL_CLUSTER_ADDRESS={head}."
        )
    say(f"The cluster's head is ready at {head} and offers {format_bytes(offer.memory_bytes)} to models.")
    say("Next: start the service again in another terminal: foundrylocal serve")
    for line in _LOOPBACK_STEPS if head.is_loopback else _NETWORK_STEPS:
        say(line.format(head=head))


def _has_joined(head: HeadAddress, offer: NodeOffer) -> None:
    say(
        f"{offer.address} has joined the cluster at {head} and offers {format_bytes(offer.memory_bytes)} to models."
    )
