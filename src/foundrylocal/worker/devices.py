"""Print the devices of the built-in engine as one line of JSON; run as `python -m foundrylocal.worker.devices`.

In a process of its own, because a driver that is broken may hang or abort.
"""

from __future__ import annotations

import json
import os
from typing import Any

_KINDS = {0: "cpu", 1: "gpu", 2: "integrated"}


def describe(device: dict[str, Any]) -> dict[str, Any]:
    """One device of `xllamacpp.get_device_info()` in the service's words."""
    return {
        "name": str(device["description"] or device["name"]),
        "kind": _KINDS.get(int(device["type"]), "accelerator"),
        "memory_bytes": int(device["memory_total"]),
        "free_bytes": int(device["memory_free"]),
    }


def main() -> None:
    # The engine's libraries may print to stdout while they start: only our line belongs there.
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import xllamacpp

    report.write(json.dumps([describe(device) for device in xllamacpp.get_device_info()]) + "\n")
    report.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
