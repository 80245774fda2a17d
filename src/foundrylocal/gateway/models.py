"""The models that the gateway offers, in the form of OpenAI's list and of Anthropic's at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from foundrylocal.catalog.library import Stored
from foundrylocal.catalog.registry import Model
from foundrylocal.kit.clock import format_time
from foundrylocal.pool.roster import LoadState


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model on disk, what the registry knows of it, and whether it is loaded."""

    stored: Stored
    model: Model | None = None
    load_state: LoadState = LoadState.UNLOADED


def render_model(offered: OfferedModel) -> dict[str, Any]:
    """One model on disk; its state, context and abilities are for front ends."""
    stored, model = offered.stored, offered.model
    return {
        "id": stored.model_id,
        "object": "model",
        "created": int(stored.downloaded_at),
        "owned_by": "foundry-local",
        "type": "model",
        "display_name": stored.model_id.rpartition("/")[2],
        "created_at": format_time(stored.downloaded_at),
        "status": {"value": offered.load_state.value},
        "context_length": model.context_length if model else None,
        "capabilities": list(model.capabilities) if model else [],
    }


def render_models(offered: list[OfferedModel]) -> dict[str, Any]:
    """All models on disk."""
    data = [render_model(one) for one in offered]
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }
