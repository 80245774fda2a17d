"""How long the engine's threads spin while they wait for each other: long on a quiet machine, short on a busy one.

The threads meet after every step of a token, some hundred times. Spinning is the fastest way to wait, unless another
program has the core of the thread that is waited for: then all of them burn their time until the system moves one.
libgomp knows that case and spins briefly before it sleeps, but only when its process has more threads than there
are processors. So `SpinSwitch` starts threads that compute nothing, which switches every pool of the process over
at once, and ends them to switch back (docs/decisions/0033).

Invariant: an environment that chooses the way of waiting itself (OMP_WAIT_POLICY, GOMP_SPINCOUNT) is left alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CHOSEN_BY = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


class SpinSwitch:
    """Shortens and restores the spinning of all libgomp threads of this process."""

    def __init__(self, gomp: Any, idle_work: Any) -> None:
        self._gomp = gomp
        self._idle_work = idle_work
        self._release: threading.Event | None = None
        self._holder: threading.Thread | None = None

    @property
    def is_short(self) -> bool:
        return self._holder is not None

    def set_short(self, is_short: bool) -> None:
        """Spin briefly from now on, or as long as usual again; returns at once."""
        if is_short and self._holder is None:
            release = self._release = threading.Event()
            self._holder = threading.Thread(target=self._hold, args=(release,), name="spin", daemon=True)
            self._holder.start()
        elif not is_short and self._release is not None:
            self._release.set()
            self._holder = self._release = None

    def _hold(self, release: threading.Event) -> None:
        """Own a pool of idle threads until the release; libgomp ends a pool with the thread that owns it."""
        # One more than there are processors is always too many, however many the engine uses.
        self._gomp.GOMP_parallel(self._idle_work, None, self._gomp.omp_get_num_procs() + 1, 0)
        release.wait()


def find_switch(
    environment: Mapping[str, str] = os.environ, maps: Path = Path("/proc/self/maps")
) -> SpinSwitch | None:
    """The switch of this process, once the engine is loaded; None where the engine does not use libgomp."""
    if sys.platform != "linux" or any(environment.get(name) for name in _CHOSEN_BY):
        return None
    try:
        path = _library_path(maps.read_text("utf-8", "replace"))
        if path is None:
            return None
        gomp, libc = ctypes.CDLL(path), ctypes.CDLL(None)
        gomp.GOMP_parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        gomp.GOMP_parallel.restype = None
        # Every thread of the pool calls free(NULL), which does nothing.
        return SpinSwitch(gomp, ctypes.cast(libc.free, ctypes.c_void_p)) if gomp.omp_get_num_procs else None
    except (OSError, AttributeError):
        return None


def _library_path(maps: str) -> str | None:
    """The file of libgomp among those that are mapped into a process."""
    for line in maps.splitlines():
        path = line.partition("/")[2]
        if path.rpartition("/")[2].startswith("libgomp"):
            return f"/{path}"
    return None
