"""At most one call in an answer, for requests that turn parallel calls off and leave the choice to the model.

The engine's own parser reports every call that the model makes. Those after the first one are left out.
"""

from __future__ import annotations

import json

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.constrained.filters import data_of
from foundrylocal.gateway.dialects.events import dump, split_events

_CALLS = b'"tool_calls":'


class FirstCallOnly:
    """The filter of one chat request, whole or streamed, of one answer or several."""

    def whole(self, raw: bytes) -> bytes:
        if not raw.lstrip().startswith(b"{"):
            return self.events(raw)
        if _CALLS not in raw:
            return raw
        answer = json.loads(raw)
        for choice in answer["choices"]:
            if calls := choice["message"].get("tool_calls"):
                choice["message"]["tool_calls"] = calls[:1]
        return dump(answer)

    def events(self, block: bytes) -> bytes:
        if _CALLS not in block:
            return block
        return b"".join(_event(event) for event in split_events(block))


def _event(event: bytes) -> bytes:
    chunk = data_of(event) if _CALLS in event else None
    if chunk is None or not chunk.get("choices"):
        return event + b"\n\n"
    kept = [choice for choice in chunk["choices"] if _keep_first(choice)]
    return b"data: " + dump(chunk | {"choices": kept}) + b"\n\n" if kept else b""


def _keep_first(choice: Json) -> bool:
    """Leave later calls out of the choice; False if nothing is left of it."""
    delta = choice["delta"]
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [call for call in calls if call["index"] == 0]
        if not delta["tool_calls"]:
            del delta["tool_calls"]
    return bool(delta) or choice.get("finish_reason") is not None
