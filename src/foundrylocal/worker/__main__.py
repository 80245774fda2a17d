"""The child process: one model, llama.cpp's own server, nothing of the service.

It takes its whole order as one line on stdin, tells `ready` or `failed` as a line on stdout, logs on stderr,
and ends when its stdin does: with its parent, whatever became of that.
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


def _die_with_parent() -> None:
    """Ask Linux to kill us when the service ends, even while the engine holds the interpreter lock."""
    if sys.platform != "linux":
        return
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent == 1 or os.getppid() != parent:
        os._exit(0)  # it was gone before we asked


def _limit() -> None:
    """No core dump of gigabytes when the engine aborts."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _take_report_channel() -> IO[str]:
    """Keep the real stdout for our reports and send whatever native code prints there to the log."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return report


def _write_whole_lines() -> object:
    """Have the engine's log leave as lines: each is three writes else, and each write wakes the service.

    The answer is the buffer, which has to live as long as the process.
    """
    if sys.platform == "win32":
        return None  # its C library knows no line buffering
    import ctypes

    system = ctypes.CDLL(None)
    stderr = ctypes.c_void_p.in_dll(system, "__stderrp" if sys.platform == "darwin" else "stderr")
    buffer = ctypes.create_string_buffer(_LINE_BYTES)
    system.setvbuf(stderr, buffer, _IOLBF, _LINE_BYTES)
    return buffer


def main() -> None:
    report = _take_report_channel()
    _die_with_parent()
    _limit()
    log_buffer = _write_whole_lines()
    # The engine loads with the interpreter lock held, so no Python handler would run: the system's own must.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    try:
        import xllamacpp

        server = xllamacpp.Server(parameters(order))
    except Exception as error:  # noqa: BLE001 - whatever it is, the service must hear of it
        report.write(json.dumps({"event": "failed", "reason": str(error)}) + "\n")
        report.flush()
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report.write(json.dumps({"event": "ready", "address": server.listening_address}) + "\n")
    report.flush()
    while sys.stdin.readline():
        pass
    del log_buffer
    os._exit(0)


if __name__ == "__main__":
    main()
