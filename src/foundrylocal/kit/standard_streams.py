"""Standard input, output and error as the program needs them, however it was started.

Invariant: descriptors 0 to 2 are open, so no socket or file ever gets one of their numbers.
"""

from __future__ import annotations

import os
import sys


def open_standard_streams() -> None:
    """Open whichever of descriptors 0 to 2 is closed on the null device; call it before anything else is opened."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            _point_to_null(number)
        if getattr(sys, name) is None:
            # The interpreter found it closed and left it out.
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - lives as long as the process


def print_line(text: str) -> None:
    """Print a line on stdout at once; when nobody can read it (closed pipe, full disk), go on without stdout."""
    try:
        print(text, flush=True)
    except OSError:
        # What is still buffered would fail again at exit.
        _point_to_null(1)


def _point_to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number, inheritable=True)
        os.close(null)
    else:
        os.set_inheritable(number, True)
