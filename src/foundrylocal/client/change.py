"""The events of /events in their shapes."""

from __future__ import annotations

from typing import get_args

from foundrylocal.client.call import read_as
from foundrylocal.client.transport import decoded
from foundrylocal.wire.events import Change

_SHAPES: dict[str, type[Change]] = {
    kind: shape for shape in get_args(Change) for kind in get_args(shape.model_fields["type"].annotation)
}


def read_change(text: str, url: str) -> Change | None:
    """The event; None for a type that a newer service added. Raises NotFoundryLocal."""
    event = decoded(text)
    shape = _SHAPES.get(str(event.get("type"))) if isinstance(event, dict) else None
    return None if shape is None else read_as(shape, text, url)
