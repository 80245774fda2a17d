"""The thread lanes of this room: how many long jobs of each kind run at once; the others wait their turn."""

from __future__ import annotations

from foundrylocal.kit.threads import ThreadLane

VERIFYING = ThreadLane("verifying", 2)
"""Reads whole models, so it is bound by the disk: more threads would not make it faster."""

LOOKING = ThreadLane("looking", 4)
"""Reads headers and walks through folders of the user's, which may be on a slow or dead network drive."""
