"""Checks of folders, disk space and memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from foundrylocal.doctor.finding import Finding, error, ok, warning
from foundrylocal.kit.sizes import format_bytes

LOW_SPACE_BYTES = 4 * 1024**3
LOW_MEMORY_BYTES = 1024**3


def check_folder(folder: Path, other_place: str, write_problem: Callable[[Path], str | None]) -> Finding:
    """Whether the service can write in a folder; `other_place` says how to choose another one."""
    reason = write_problem(folder)
    if reason is None:
        return ok(f"{folder} is writable.")
    return error(f"The folder {folder} cannot be written: {reason}.", f"Make it writable, or {other_place}.")


def write_problem(folder: Path) -> str | None:
    """Why nothing can be written in the folder; None when it can. A missing folder is not created. Blocking."""
    place = folder
    try:
        while not place.exists():
            place = place.parent
        if not place.is_dir():
            return f"{place} is not a folder"
        if place != folder:
            return None if os.access(place, os.W_OK | os.X_OK) else f"{place} does not allow new folders"
        probe = folder / f".foundrylocal-doctor-{os.getpid()}"
        try:
            probe.write_bytes(b"doctor")
        finally:
            with contextlib.suppress(OSError):
                probe.unlink()
    except OSError as failure:
        return failure.strerror or type(failure).__name__
    return None


def check_space(folder: Path, reserve_bytes: int, free_bytes: Callable[[Path], int]) -> Finding:
    """Whether there is room for models in the cache folder; downloads leave `reserve_bytes` free."""
    try:
        free = free_bytes(folder)
    except OSError as failure:
        reason = failure.strerror or type(failure).__name__
        return error(f"Free space in {folder} is unknown: {reason}.", "Check that the disk is mounted.")
    text = f"{format_bytes(free)} free for models in {folder}."
    action = "Delete models (foundrylocal rm MODEL), or set cache_dir to a larger disk."
    if free <= reserve_bytes:
        return error(f"No space for models: {text}", action)
    if free < LOW_SPACE_BYTES:
        return warning(f"Little space for models: {text}", action)
    return ok(text)


def check_memory(
    available_bytes: int, total_bytes: int, reserve_bytes: int, budget_bytes: int | None, starter_bytes: int
) -> Finding:
    """Whether a model fits in memory; `starter_bytes` is what the starter model needs."""
    usable = available_bytes - reserve_bytes
    if budget_bytes is not None:
        usable = min(usable, budget_bytes)
    text = (
        f"{format_bytes(max(0, usable))} can be used by models now "
        f"({format_bytes(available_bytes)} of {format_bytes(total_bytes)} free, "
        f"{format_bytes(reserve_bytes)} reserved)."
    )
    action = "Close other programs, unload models (foundrylocal stop), or lower memory_reserve_mb."
    if budget_bytes is not None and budget_bytes < starter_bytes:
        action = "Raise memory_budget_mb."
    if usable < starter_bytes:
        return error(f"Too little memory, even for the starter model: {text}", action)
    if usable < LOW_MEMORY_BYTES:
        return warning(f"Little memory: {text}", action)
    return ok(text)
