"""The actor that holds one replica on a node: Ray calls its methods, and `NodeReplica` does the work.

Invariants: an actor of another version of this program refuses its order before it reads it; one that no link calls
any more ends, with its worker, when its lease is over. `begin` keeps its form in all versions.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foundrylocal
from foundrylocal.catalog.library import Library
from foundrylocal.engine.ray import orders
from foundrylocal.engine.ray.lease import Lease
from foundrylocal.engine.ray.node_replica import NodeReplica
from foundrylocal.engine.ray.orders import FileServerAddress, NodeOrder
from foundrylocal.home.folders import default_cache_dir

BEGIN_TIMEOUT_S = 60.0


class ReplicaActor:
    """One replica; `begin` comes first. Its methods run on Ray's event loop of this actor.

    `leave` ends the process; one that is not used within `begin_timeout_s` leaves by itself.
    """

    def __init__(
        self, leave: Callable[[int], object] = os._exit, begin_timeout_s: float = BEGIN_TIMEOUT_S
    ) -> None:
        self._leave = leave
        self._text = ""
        self._replica: NodeReplica | None = None
        self._life: asyncio.Task[None] | None = None
        # The link may die between the creation of an actor and its order.
        self._unused = threading.Timer(begin_timeout_s, leave, (0,))
        self._unused.daemon = True
        self._unused.start()

    async def begin(self, order_text: str) -> dict[str, Any]:
        """Start on an order; `refusal` in the answer says why this node cannot."""
        facts = {"version": foundrylocal.__version__, "python": platform.python_version()}
        wanted = orders.version_of(order_text)
        if wanted != foundrylocal.__version__:
            refusal = (
                f"It runs FoundryLocal {foundrylocal.__version__}, and the service {wanted}. Install the same "
                "version on both."
            )
            return facts | {"refusal": refusal}
        order = orders.decode_order(order_text)
        prepare_process(order)
        self._text = order_text
        lease = Lease(order.keep_s)
        self._replica = NodeReplica(order, Library(node_cache_dir()), lease)
        self._life = asyncio.create_task(self._live(self._replica, lease))
        self._unused.cancel()
        return facts | {"refusal": None}

    async def _live(self, replica: NodeReplica, lease: Lease) -> None:
        """Run it to its end, then wait for the link to take note of that."""
        await replica.run()
        while not lease.is_over:  # noqa: ASYNC110 - it is over by the clock, with nobody to say so
            await asyncio.sleep(lease.check_period_s)
        self._leave(0)

    async def watch(self, seen: int, wait_s: float, files_at: dict[str, str] | None) -> dict[str, Any]:
        """The newest update past number `seen`, after `wait_s` at the latest; renews the lease."""
        assert self._replica is not None  # noqa: S101 - `begin` comes first
        at = FileServerAddress(files_at["url"], files_at["key"]) if files_at else None
        return orders.encode_update(await self._replica.watch(seen, wait_s, at))

    async def describe(self) -> dict[str, Any]:
        """The order that it was given and its newest update, for a service that has just started."""
        assert self._replica is not None  # noqa: S101 - `begin` comes first
        return {"order": self._text, "update": await self.watch(-1, 0.0, None)}

    async def stop(self) -> None:
        """End the worker; returns when it has ended."""
        if self._replica is not None:
            await self._replica.stop()


def node_cache_dir() -> Path:
    """Where this node keeps models: as a service on this node would."""
    return Path(os.environ.get("FOUNDRYLOCAL_CACHE_DIR") or default_cache_dir())


def prepare_process(order: NodeOrder) -> None:
    """Make this process of Ray what the worker's parent is in a service."""
    # Ray sets the number of threads to that of the actor's CPUs, and empties the list of GPUs of one that asked for
    # none: the engine decides both by itself, as it does without Ray.
    os.environ.pop("OMP_NUM_THREADS", None)
    if not os.environ.get("CUDA_VISIBLE_DEVICES", "unset"):
        del os.environ["CUDA_VISIBLE_DEVICES"]
    log = logging.getLogger("foundrylocal")
    log.setLevel(order.log_level)
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.propagate = False
