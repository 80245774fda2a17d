"""The link to the cluster as the service sees it: a child process that is started again whenever it ends.

Invariants: the service never waits for Ray without a bound, and never ends with it; an answer belongs to the child
that was asked, and a child that ends fails all that it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import anyio.abc

from foundrylocal.engine.local.platform import processes
from foundrylocal.errors import ClusterUnreachable
from foundrylocal.kit.backoff import delay_s

log = logging.getLogger("foundrylocal.FoundryLocalService")

LINK_COMMAND = (sys.executable, "-P", "-m", "foundrylocal.engine.ray.link_child")
HELLO_TIMEOUT_S = 60.0
UP_TIMEOUT_S = 5.0
MAX_DELAY_S = 5.0
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_REASON_CHARS = 300
STARTING = "The connection to the cluster is being made."

Event = Mapping[str, Any]


class Link:
    """The owner of the child; `on_hello` is called for each new child, `on_event` for each of its events.

    `environment` is asked for each child.
    """

    def __init__(
        self,
        order: Mapping[str, Any],
        on_hello: Callable[[], None],
        on_event: Callable[[Event], None],
        environment: Callable[[], Mapping[str, str]] = lambda: os.environ,
        command: Sequence[str] = LINK_COMMAND,
    ) -> None:
        self._order = order
        self._on_hello = on_hello
        self._on_event = on_event
        self._environment = environment
        self._command = command
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._up = anyio.Event()
        self._last_words = ""  # of the child: why it ends
        self.reason = STARTING  # why there is no link, while there is none
        self.down_since: float | None = None  # by the loop's clock; None while it is up
        self.node = ""  # that of this machine, by the cluster's own words

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    @property
    def pid(self) -> int | None:
        """The child's."""
        return self._process.pid if self._process else None

    # --- asking -------------------------------------------------------------------------------------------

    async def wait_up(self, timeout_s: float) -> None:
        """Wait for a link. Raises ClusterUnreachable."""
        with anyio.move_on_after(timeout_s):
            await self._up.wait()
        if not self.is_up:
            raise ClusterUnreachable(self.reason)

    async def ask(self, do: str, timeout_s: float, **facts: Any) -> dict[str, Any]:
        """The link's answer to a command. Raises ClusterUnreachable, also after `timeout_s`."""
        await self.wait_up(min(timeout_s, UP_TIMEOUT_S))
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._send({"id": number, "do": do, **facts})
            with anyio.fail_after(timeout_s):
                return dict(await answer)
        except TimeoutError:
            raise ClusterUnreachable(f"Ray did not answer within {timeout_s:g} s.") from None
        finally:
            self._asked.pop(number, None)

    def _send(self, message: Mapping[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise ClusterUnreachable(self.reason)
        with contextlib.suppress(ConnectionError, RuntimeError):  # its end is noticed by its reader
            process.stdin.write(json.dumps(message).encode() + b"\n")

    # --- the child ----------------------------------------------------------------------------------------

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold a child until cancelled; start another when it ends."""
        task_status.started()
        self.down_since = anyio.current_time()
        attempt = 0
        while True:
            began = anyio.current_time()
            await self._live()
            attempt = 1 if anyio.current_time() - began > HELLO_TIMEOUT_S else attempt + 1
            await anyio.sleep(delay_s(attempt, max_s=MAX_DELAY_S))

    async def _live(self) -> None:
        """One child, from its start to its end."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=MAX_LINE_BYTES,
                env=dict(self._environment()),
                **processes.spawn_options(),
            )
        except OSError as error:
            self._set_down(f"The link process could not be started: {error.strerror or error}.")
            return
        processes.adopt(process.pid)
        self._process, self._last_words = process, ""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._read_log, process)
                group.start_soon(self._require_hello, process)
                self._send(self._order)
                await self._read(process)
                group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                processes.kill(process.pid)
                await process.wait()
            self._process = None
            self._set_down(self._last_words or f"The link process ended (exit code {process.returncode}).")

    async def _require_hello(self, process: asyncio.subprocess.Process) -> None:
        with anyio.move_on_after(HELLO_TIMEOUT_S):
            await self._up.wait()
            return
        self._last_words = f"The cluster did not answer within {HELLO_TIMEOUT_S:g} s."
        processes.kill(process.pid)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout  # noqa: S101 - it is a pipe
        while line := await _line(process.stdout):
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if "id" in message:
                self._answer(message)
            elif message.get("event") == "hello":
                self._set_up(str(message["node"]))
            elif message.get("event") == "failed":
                self._last_words = str(message.get("reason"))[:MAX_REASON_CHARS]
            else:
                self._on_event(message)

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr  # noqa: S101 - it is a pipe
        while line := await _line(process.stderr):
            log.debug("link: %s", line.decode("utf-8", "replace").rstrip()[:MAX_REASON_CHARS])

    def _answer(self, message: Mapping[str, Any]) -> None:
        answer = self._asked.get(message["id"])
        if answer is None or answer.done():
            return
        if "ok" in message:
            answer.set_result(message["ok"])
        else:
            answer.set_exception(ClusterUnreachable(str(message.get("error"))[:MAX_REASON_CHARS]))

    def _set_up(self, node: str) -> None:
        self.node, self.down_since = node, None
        self._up.set()
        log.info("Connected to the cluster as node %s", node)
        self._on_hello()

    def _set_down(self, reason: str) -> None:
        was_up = self.is_up
        if was_up:
            # Only then: whoever waits for the next child waits for the event that it will set.
            self._up = anyio.Event()
        if was_up or reason != self.reason:
            log.warning("No connection to the cluster: %s Replicas that run keep answering.", reason)
        self.reason = reason
        if self.down_since is None:
            self.down_since = anyio.current_time()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ClusterUnreachable(self.reason))


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; empty at the end. One that is too long is left out."""
    while True:
        try:
            return await stream.readline()
        except ValueError:
            continue
