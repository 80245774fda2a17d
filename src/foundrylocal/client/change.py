"""The events of /events in their shapes."""

from __future__ import annotations

from foundrylocal.client.call import read_as
from foundrylocal.client.transport import decoded
from foundrylocal.wire.events import (
    ActivityEvent,
    DownloadsEvent,
    EndedDownloadsEvent,
    LoadedEvent,
    MachineEvent,
    ModelsEvent,
    RequestsEvent,
    StateEvent,
)

Change = (
    StateEvent
    | DownloadsEvent
    | EndedDownloadsEvent
    | LoadedEvent
    | ModelsEvent
    | ActivityEvent
    | MachineEvent
    | RequestsEvent
)
_SHAPES: dict[str, type[Change]] = {
    "state": StateEvent,
    "downloads": DownloadsEvent,
    "ended_downloads": EndedDownloadsEvent,
    "loaded": LoadedEvent,
    "downloaded": ModelsEvent,
    "activity": ActivityEvent,
    "machine": MachineEvent,
    "requests": RequestsEvent,
}


def read_change(text: str, url: str) -> Change | None:
    """The event; None for a type that a newer service added. Raises NotFoundryLocal."""
    event = decoded(text)
    shape = _SHAPES.get(str(event.get("type"))) if isinstance(event, dict) else None
    return None if shape is None else read_as(shape, text, url)
