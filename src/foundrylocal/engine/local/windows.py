"""Processes on Windows: every worker is in one job object that the system ends with the service."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import psutil

HAS_UNIX_SOCKETS = False

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _KILL_ON_JOB_CLOSE = 0x2000
    _EXTENDED_LIMIT_INFORMATION = 9
    _PROCESS_SET_QUOTA_AND_TERMINATE = 0x0100 | 0x0001

    class _BasicLimits(ctypes.Structure):
        _fields_ = (
            ("PerProcessUserTimeLimit", ctypes.c_int64),
            ("PerJobUserTimeLimit", ctypes.c_int64),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        _fields_ = (
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_uint64 * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )

    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel32.CreateJobObjectW.restype = wintypes.HANDLE
    _kernel32.OpenProcess.restype = wintypes.HANDLE
    _job: int | None = None

    def _job_object() -> int:
        """The one job of this process; its handle is never closed, so it ends when we do, however we do."""
        global _job
        if _job is None:
            job = _kernel32.CreateJobObjectW(None, None)
            limits = _ExtendedLimits()
            limits.BasicLimitInformation.LimitFlags = _KILL_ON_JOB_CLOSE
            _kernel32.SetInformationJobObject(
                wintypes.HANDLE(job),
                _EXTENDED_LIMIT_INFORMATION,
                ctypes.byref(limits),
                ctypes.sizeof(limits),
            )
            _job = int(job)
        return _job


def spawn_options() -> dict[str, Any]:
    """A group of its own, and no console window."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {}


def adopt(pid: int) -> None:
    """Put a fresh worker into the job, so that it cannot outlive the service."""
    if sys.platform == "win32":
        handle = _kernel32.OpenProcess(_PROCESS_SET_QUOTA_AND_TERMINATE, False, pid)
        if handle:
            _kernel32.AssignProcessToJobObject(wintypes.HANDLE(_job_object()), wintypes.HANDLE(handle))
            _kernel32.CloseHandle(wintypes.HANDLE(handle))


def terminate(pid: int) -> None:
    """Windows has no gentle signal for a process without a window: its closed stdin is the request."""


def kill(pid: int) -> None:
    """End the worker and what it started."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        process.kill()


def count_out_of_memory_kills() -> int | None:
    """Windows ends no process for lack of memory: it refuses the memory instead."""
    return None


def describe_exit(code: int) -> str:
    """Why a process ended, for people."""
    outcome = f"exited with code {code}" if code < 0x80000000 else f"crashed with code {code:#x}"
    return f"The worker {outcome}."
