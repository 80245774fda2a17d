"""The ids of answers: the engine gives every generation a chat's id, each published API has a prefix of its own."""

from __future__ import annotations

_ENGINE_PREFIX = "chatcmpl-"
_IN_EVENT = b'"id":"chatcmpl-'


def with_prefix(prefix: str, engine_id: object) -> str:
    """The engine's id under another prefix."""
    return prefix + str(engine_id or "").removeprefix(_ENGINE_PREFIX)


def replace_prefix(prefix: bytes, block: bytes) -> bytes:
    """The same inside events, which are not parsed for it."""
    return block.replace(_IN_EVENT, b'"id":"' + prefix)
