"""The gateway's queues and totals, as /status and /events render them."""

from __future__ import annotations

from typing import Any

from foundrylocal.api.services import Services, Totals


def describe_activity(services: Services) -> dict[str, Any]:
    """Running and waiting requests of each model, and the totals since the service started."""
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
        "totals": _totals(services.gateway.totals),
    }


def _totals(totals: Totals) -> dict[str, Any]:
    drafted = totals.tokens_drafted
    return {
        "requests": totals.requests,
        "failed": totals.failed,
        "cancelled": totals.cancelled,
        "tokens_in": totals.tokens_in,
        "tokens_out": totals.tokens_out,
        "tokens_drafted": drafted,
        "tokens_accepted": totals.tokens_accepted,
        "draft_acceptance": round(totals.tokens_accepted / drafted, 3) if drafted else None,
    }
