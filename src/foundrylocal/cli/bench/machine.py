"""What a benchmark ran on, so that its figures can be compared later."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import foundrylocal
from foundrylocal.kit.sizes import format_bytes


def describe_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Processor, cores, memory, system and versions."""
    import psutil

    return {
        "processor": _processor(cpuinfo),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count() or 1,
        "logical_cores": os.cpu_count() or 1,
        "memory": format_bytes(psutil.virtual_memory().total),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "version": foundrylocal.API_VERSION,
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _processor(cpuinfo: Path) -> str:
    try:
        for line in cpuinfo.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
