"""The input of a request as items that can be kept and listed: each with an id, its content in parts."""

from __future__ import annotations

import secrets

from foundrylocal.gateway.dialects.body import Json

_PREFIXES = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs", "compaction": "cmp"}


def as_items(given: str | list[Json] | None) -> list[Json]:
    """The items of an `input`; a text is a message of the user."""
    if not given:
        return []
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return [_item(item) for item in given]


def _item(given: Json) -> Json:
    item: Json = {"type": "message", **given}
    kind = str(item["type"])
    if not item.get("id"):
        item["id"] = f"{_PREFIXES.get(kind, 'msg')}_{secrets.token_hex(12)}"
    if kind == "reasoning":
        return item
    if kind != "compaction":
        item["status"] = item.get("status") or "completed"
    if kind == "message" and isinstance(item.get("content"), str):
        part_type = "output_text" if item.get("role") == "assistant" else "input_text"
        part: Json = {"type": part_type, "text": item["content"]}
        item["content"] = [part | {"annotations": [], "logprobs": []} if part_type == "output_text" else part]
    return item
