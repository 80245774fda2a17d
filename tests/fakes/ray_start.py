"""What `ray start --block` is to the command that runs it: a process that says when it is ready and has a raylet.

It imports nothing of ours. The real one is in tests/process/cluster.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

_PR_SET_NAME, _PR_SET_PDEATHSIG = 15, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fail", action="store_true", help="ends before it is ready")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--ignore-sigterm", action="store_true")
    parser.add_argument("--farewell", metavar="FILE", help="what the raylet writes when it is asked to end")
    given = parser.parse_args()
    if given.fail:
        print("some lines\n\nConnection refused", flush=True)
        sys.exit(1)
    if given.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _start_raylet(given.farewell)
    if not given.never_ready:
        print("--------\nRay runtime started.\n--------", flush=True)
    while True:
        time.sleep(60)


def _start_raylet(farewell: str | None) -> None:
    """A child that is called raylet and, like Ray's, ends with its parent."""
    if os.fork():
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_NAME, b"raylet")
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if farewell is not None:
        signal.signal(signal.SIGTERM, lambda *_: _leave(farewell))
    while True:
        time.sleep(60)


def _leave(farewell: str) -> None:
    """Takes a while, as leaving a cluster does, and longer than Ray waits for it."""
    time.sleep(1.5)
    Path(farewell).write_text("left")
    os._exit(0)


if __name__ == "__main__":
    main()
