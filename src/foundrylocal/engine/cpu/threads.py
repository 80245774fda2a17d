"""How many threads an engine gets when nobody asked for a number (`threads: auto`), as a pure function.

Invariant: where nothing limits this process, the engine's own default is used.
"""

from __future__ import annotations

import math

from foundrylocal.engine.cpu.cores import Cores


def auto_threads(cores: Cores, replicas: int = 1) -> int | None:
    """As many as cores may be used; None is the engine's own default, which counts the cores of the machine.

    An engine that does not know of a quota or an affinity would start threads that wait for each other's turn, and so
    would one of several `replicas` that compute on the same cores at the same time.
    """
    if not cores.is_limited and replicas == 1:
        return None
    return max(1, math.floor(cores.usable) // replicas)
