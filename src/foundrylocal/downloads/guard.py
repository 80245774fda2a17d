"""What every child of the downloads does first: never outlive the service, and never get in its way.

Invariant: when stdin ends, which it does when the service dies in whatever way, the process ends at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

_CODE = 75


# A download takes what answers and the service leave of the processors.
_NICENESS = 10


def end_with_parent() -> None:
    """Watch stdin from a thread, and end the process group when it ends; step back behind other processes."""
    if sys.platform != "win32":
        os.nice(_NICENESS)
    threading.Thread(target=_wait_for_end, name="guard", daemon=True).start()


def _wait_for_end() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    if sys.platform != "win32" and os.getpgid(0) == os.getpid():
        # The group is ours alone, so this takes along whatever was started from here.
        os.killpg(0, signal.SIGKILL)
    os._exit(_CODE)
