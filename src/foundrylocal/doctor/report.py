"""The results of an examination in the shape of `wire/doctor.py`, for the API and the command line alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foundrylocal.doctor.finding import worst
from foundrylocal.doctor.runner import Checked


def render(results: Sequence[Checked]) -> dict[str, Any]:
    """The whole answer."""
    return {
        "status": worst([result.finding.level for result in results]).value,
        "checks": [
            {
                "name": result.name,
                "status": result.finding.level.value,
                "message": result.finding.message,
                "action": result.finding.action,
                "seconds": round(result.seconds, 3),
            }
            for result in results
        ],
        "total_count": len(results),
    }
