"""The models that the gateway offers, in the form of OpenAI's list and of Anthropic's at the same time."""

from __future__ import annotations

from typing import Any

from foundrylocal.catalog.library import Stored
from foundrylocal.kit.clock import format_time


def render_model(stored: Stored) -> dict[str, Any]:
    """One model on disk."""
    return {
        "id": stored.model_id,
        "object": "model",
        "created": int(stored.downloaded_at),
        "owned_by": "foundry-local",
        "type": "model",
        "display_name": stored.model_id.rpartition("/")[2],
        "created_at": format_time(stored.downloaded_at),
    }


def render_models(stored: list[Stored]) -> dict[str, Any]:
    """All models on disk."""
    data = [render_model(one) for one in stored]
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
