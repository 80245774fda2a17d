"""The gateway's queues and totals, as /status and /events render them."""

from __future__ import annotations

from typing import Any

from foundrylocal.api.services import Services


def describe_activity(services: Services) -> dict[str, Any]:
    """Running and waiting requests of each model, and the totals since the service started."""
    totals = services.gateway.totals
    return {
        "queues": [
            {
                "model_id": model_id,
                "slots": line.limit,
                "running": line.running,
                "waiting": line.waiting,
                "longest_wait_ms": round(line.longest_wait_s * 1000),
            }
            for model_id, line in services.gateway.queues().items()
        ],
        "totals": {
            "requests": totals.requests,
            "failed": totals.failed,
            "cancelled": totals.cancelled,
            "tokens_in": totals.tokens_in,
            "tokens_out": totals.tokens_out,
        },
    }
