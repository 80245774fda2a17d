"""The child process for a `llama-server` binary of the user: starts it, reports when it is ready, and ends with it.

It speaks the same protocol as the worker of the built-in engine, so that the service treats both alike: the order on
stdin, `started`, `ready` or `failed` on stdout, the binary's log on stderr. Run as
`python -m foundrylocal.worker.llama_server`.

Invariant: the binary never outlives this process, and this process never outlives the service.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from foundrylocal.worker.child_process import (
    die_with_parent,
    is_orphan,
    keep_files_private,
    send_report,
    take_report_channel,
)
from foundrylocal.worker.server_flags import UnsupportedOption, command_line

POLL_S = 0.05
PROBE_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 3.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: str) -> None:
        super().__init__("worker", timeout=PROBE_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        if sys.platform == "win32":
            raise OSError("there are no such sockets here")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PROBE_TIMEOUT_S)
        self.sock.connect(self._path)


def _connection(order: dict[str, Any]) -> http.client.HTTPConnection:
    if order["socket"]:
        return _UnixConnection(order["socket"])
    return http.client.HTTPConnection(order["host"], order["port"], timeout=PROBE_TIMEOUT_S)


def _is_ready(order: dict[str, Any]) -> bool:
    """Whether it answers its health check with 200; while it loads it is not there, or answers 503."""
    connection = _connection(order)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _write_key(key: str) -> Path:
    """The key in a file that only this user can read, since arguments and environments are visible to others."""
    handle, name = tempfile.mkstemp(prefix="foundrylocal-key-")
    with os.fdopen(handle, "w") as file:
        file.write(key)
    return Path(name)


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    # stdout is stderr by now, where the log goes.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=None if sys.platform == "win32" else _prepare_child,
    )


def _prepare_child() -> None:
    """In the child, before it becomes the binary: it dies with us, and can be asked to end."""
    die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_stdin(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of stdin, which is the service's request to stop or its death; then end the binary."""
    while sys.stdin.readline():
        pass
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _exit_like(code: int) -> None:
    """End as the binary ended, so that the service sees its exit code or signal."""
    if code < 0 and sys.platform != "win32":
        number = -code
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(code if code >= 0 else 1)


def main() -> None:
    channel = take_report_channel()
    parent = die_with_parent()
    keep_files_private()
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    if is_orphan(parent, order["service_pid"]):
        return
    # A stop asks the whole group: the binary ends by itself, and then we do.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    key_file: Path | None = None
    if not order["socket"]:
        order["port"] = order["port"] or _free_port(order["host"])
        key_file = _write_key(order["api_key"])
    try:
        process = _spawn(command_line(order, key_file))
    except (OSError, UnsupportedOption) as error:
        _remove(key_file)
        send_report(channel, "failed", reason=getattr(error, "strerror", None) or str(error))
        os._exit(1)
    send_report(channel, "started", pid=process.pid)
    threading.Thread(target=_end_with_stdin, args=(process,), daemon=True).start()
    while process.poll() is None and not _is_ready(order):
        time.sleep(POLL_S)
    _remove(key_file)
    if process.poll() is None:
        address = (
            f"unix://{order['socket']}" if order["socket"] else f"http://{order['host']}:{order['port']}"
        )
        send_report(channel, "ready", address=address, build=order["build"])
    _exit_like(process.wait())


def _remove(key_file: Path | None) -> None:
    if key_file is not None:
        key_file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
