"""The one place that chooses between the platforms' ways with processes."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from foundrylocal.engine.local import windows as processes
else:
    from foundrylocal.engine.local import posix as processes

__all__ = ["processes"]
