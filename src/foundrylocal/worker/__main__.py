"""The child process: one model, llama.cpp's own server, nothing of the service.

It reads its whole order as one line on stdin, reports `ready` or `failed` as a line on stdout, logs on stderr, and
ends when its stdin is closed, which is when its parent ends, however it does. While it serves, each further line on
stdin is a command.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from foundrylocal.worker.child_process import (
    die_with_parent,
    is_orphan,
    keep_files_private,
    send_report,
    take_report_channel,
)
from foundrylocal.worker.parameters import parameters
from foundrylocal.worker.spinning import SpinSwitch, find_switch

_LINE_BYTES = 4096
_IOLBF = 1
LAST_LINES_S = 0.25


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


def _obey(command: str, spin: SpinSwitch | None) -> None:
    """Carry out one command of the service; one that is not known is left alone."""
    try:
        order = json.loads(command)
    except ValueError:
        return
    if order.get("command") == "spin" and spin is not None:
        spin.set_short(bool(order.get("is_short")))


def main() -> None:
    channel = take_report_channel()
    parent = die_with_parent()
    keep_files_private()
    log_buffer = _write_whole_lines()
    # The engine loads with the interpreter lock held, when no Python handler could run: use the default action.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    line = sys.stdin.readline()
    if not line:
        return
    order = json.loads(line)
    if is_orphan(parent, order["service_pid"]):
        return
    try:
        import xllamacpp

        server = xllamacpp.Server(parameters(order))
    except Exception as error:  # noqa: BLE001 - the service reports it, whatever it is
        send_report(channel, "failed", reason=str(error))
        # The engine's own thread writes its last lines, which say why, and cannot be asked whether it has.
        time.sleep(LAST_LINES_S)
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spin = find_switch()
    send_report(
        channel,
        "ready",
        address=server.listening_address,
        build=f"xllamacpp {xllamacpp.__version__}",
        can_shorten_spin=spin is not None,
    )
    while command := sys.stdin.readline():
        _obey(command, spin)
    del log_buffer
    os._exit(0)


if __name__ == "__main__":
    main()
