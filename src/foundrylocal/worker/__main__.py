"""The child process: one model, llama.cpp's own server, nothing of the service.

It reads its whole order as one line on stdin, reports `ready` or `failed` as a line on stdout, logs on stderr, and
ends when its stdin is closed, which is when its parent ends, however it does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import IO

from foundrylocal.worker.parameters import parameters

_PR_SET_PDEATHSIG = 1
_LINE_BYTES = 4096
_IOLBF = 1


def _die_with_parent() -> int:
    """Ask Linux to kill us when our parent ends, even while the engine holds the lock; returns the parent's pid."""
    parent = os.getppid()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return parent


def _is_orphan(parent: int, service: int) -> bool:
    """Whether the service ended before `_die_with_parent`. Process 1 adopts orphans, but may be the service."""
    return sys.platform != "win32" and (os.getppid() != parent or (parent == 1 and service != 1))


def _limit() -> None:
    """No core dump of gigabytes when the engine aborts, and no file that others can read."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.umask(0o077)  # saved prompts are for the user alone from their first byte


def _take_report_channel() -> IO[str]:
    """Keep the real stdout for our reports and send whatever native code prints there to the log."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return report


def _write_whole_lines() -> object:
    """Write the engine's log by whole lines: otherwise each is three writes, and each write wakes the service.

    Returns the buffer, which has to live as long as the process.
    """
    if sys.platform == "win32":
        return None  # its C library has no line buffering
    import ctypes

    system = ctypes.CDLL(None)
    stderr = ctypes.c_void_p.in_dll(system, "__stderrp" if sys.platform == "darwin" else "stderr")
    buffer = ctypes.create_string_buffer(_LINE_BYTES)
    system.setvbuf(stderr, buffer, _IOLBF, _LINE_BYTES)
    return buffer


def main() -> None:
    report = _take_report_channel()
    parent = _die_with_parent()
    _limit()
    log_buffer = _write_whole_lines()
    # The engine loads with the interpreter lock held, when no Python handler could run: use the default action.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    if _is_orphan(parent, order["service_pid"]):
        return
    try:
        import xllamacpp

        server = xllamacpp.Server(parameters(order))
    except Exception as error:  # noqa: BLE001 - the service reports it, whatever it is
        report.write(json.dumps({"event": "failed", "reason": str(error)}) + "\n")
        report.flush()
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    build = f"xllamacpp {xllamacpp.__version__}"
    report.write(json.dumps({"event": "ready", "address": server.listening_address, "build": build}) + "\n")
    report.flush()
    while sys.stdin.readline():
        pass
    del log_buffer
    os._exit(0)


if __name__ == "__main__":
    main()
