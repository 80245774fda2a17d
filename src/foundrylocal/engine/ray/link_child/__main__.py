"""The link: the process that is a driver of the Ray cluster, so that the service need not be one.

Ray ends its driver when its control service (GCS) has been away for a minute; as a child of the service that costs a
new child and nothing else. It reads its first order as one line on stdin, then a command on each line, and writes
answers and events as lines on stdout. It ends when stdin closes, which is when the service ends, however it does.

Invariant: keys are on stdin and stdout only, never in a log, an argument or the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

OWN_NODE_PERIOD_S = 5.0
EXIT_FAILED = 1


class Channel:
    """The real stdout, for lines to the service; whatever else prints there goes to stderr."""

    def __init__(self) -> None:
        self._stream: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)

    def send(self, message: dict[str, Any]) -> None:
        """Write one line; a service that is gone ends this process."""
        try:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()
        except OSError:
            os._exit(EXIT_FAILED)

    def fail(self, reason: str) -> None:
        """Say why there is no link, and end."""
        self.send({"event": "failed", "reason": reason})
        os._exit(EXIT_FAILED)


def read_commands(take: Callable[[dict[str, Any]], None]) -> None:
    """Pass each line on until stdin ends; then end this process, whatever it is doing."""
    for line in sys.stdin:
        with contextlib.suppress(ValueError):
            take(json.loads(line))
    os._exit(0)


async def serve(order: dict[str, Any], channel: Channel) -> None:
    """Carry out commands until the service ends or Ray does."""
    from foundrylocal.engine.ray.file_server import FileServer
    from foundrylocal.engine.ray.link_child.cluster import Cluster
    from foundrylocal.engine.ray.link_child.commands import Commands
    from foundrylocal.engine.ray.link_child.watcher import Watcher

    cluster = Cluster(order["namespace"])
    own = await cluster.own()
    if own is None:
        channel.fail("This machine's Ray node is not alive. Join the cluster again.")
        return
    files = FileServer(own.name)
    watcher = Watcher(cluster, files.address, float(order["keep_s"]), channel.send)
    commands = Commands(cluster, watcher, files)
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def take(message: dict[str, Any]) -> None:
        task = loop.create_task(carry_out(commands, message, channel))
        running.add(task)
        task.add_done_callback(running.discard)

    reader = threading.Thread(
        target=read_commands, args=(lambda message: loop.call_soon_threadsafe(take, message),), daemon=True
    )
    reader.start()
    channel.send({"event": "hello", "node": own.name})
    while True:
        await asyncio.sleep(OWN_NODE_PERIOD_S)
        with contextlib.suppress(TimeoutError):
            if await cluster.own() is None:
                # Old actors would still answer, and every new one would fail.
                channel.fail("This machine's Ray node has left the cluster.")


async def carry_out(commands: Any, message: dict[str, Any], channel: Channel) -> None:
    """Answer one command: `{id, do, ...}` by `{id, ok}` or `{id, error}`."""
    number, name = message.pop("id"), message.pop("do")
    try:
        answer = {"id": number, "ok": await getattr(commands, name)(**message)}
    except TimeoutError:
        answer = {"id": number, "error": "Ray did not answer in time."}
    except Exception as error:  # noqa: BLE001 - the service reports it, whatever it is
        answer = {"id": number, "error": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
    channel.send(answer)


def main() -> None:
    channel = Channel()
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    try:
        from foundrylocal.engine.ray.link_child.cluster import connect
        from foundrylocal.engine.ray.link_child.own_node import find_own_address

        own_address = find_own_address(order["address"], Path(order["state_dir"]))
        connect(order["address"], own_address, order["namespace"])
    except ImportError as error:
        channel.fail(f"The package ray cannot be imported ({error}). Run: pip install 'foundrylocal[ray]'.")
    except Exception as error:  # noqa: BLE001 - the service reports it, whatever it is
        first_line = str(error).strip().partition("\n")[0]
        channel.fail(f"The Ray cluster at {order['address']} cannot be joined: {first_line}")
    asyncio.run(serve(order, channel))


if __name__ == "__main__":
    main()
