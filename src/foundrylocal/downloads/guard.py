"""Ties a download's child process to the service: it never outlives it, and never takes CPU time from it.

Invariant: when stdin closes, as it does however the service dies, the process ends at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

_EXIT_CODE = 75
# A download uses the CPU time that the engine and the service leave.
_NICENESS = 10


def end_with_parent() -> None:
    """Watch stdin in a thread and end the process group when it closes; lower this process's priority."""
    if sys.platform != "win32":
        os.nice(_NICENESS)
    threading.Thread(target=_wait_for_end, name="guard", daemon=True).start()


def _wait_for_end() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    if sys.platform != "win32" and os.getpgid(0) == os.getpid():
        # The group is this process's own, so this also ends whatever it started.
        os.killpg(0, signal.SIGKILL)
    os._exit(_EXIT_CODE)
