"""Outlines of tools' parameters, for the engine's own converter: it crashes or hangs on some whole schemas.

Where the model may answer in words, the engine makes a grammar of its own from each tool. It gets these outlines; the
prompt shows the whole schemas all the same.

Invariant: an outline has no references, patterns or counts, and all outlines of a request hold a bounded number of
parts.
"""

from __future__ import annotations

from typing import Any

MAX_PARTS = 2000
_MAX_DEPTH = 6
_MAX_PROPERTIES = 64
_MAX_VALUES = 200
_MAX_HOPS = 8
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
Json = dict[str, Any]


class OutlineBudget:
    """How many parts the outlines of one request may still hold."""

    def __init__(self, parts: int = MAX_PARTS) -> None:
        self._left = parts

    def outline(self, schema: Json) -> Json:
        """The parameters of one tool, always an object."""
        outline = self._outline(schema, schema, 0)
        return outline if outline.get("type") == "object" else {"type": "object"}

    def _outline(self, node: object, root: Json, depth: int) -> Json:
        node = _resolved(node, root)
        self._left -= 1
        if not isinstance(node, dict) or depth > _MAX_DEPTH or self._left < 0:
            return {}
        values = [node["const"]] if "const" in node else node.get("enum")
        if isinstance(values, list) and 0 < len(values) <= _MAX_VALUES and all(map(_is_scalar, values)):
            self._left -= len(values)
            return {"enum": values}
        branches = node.get("anyOf", node.get("oneOf"))
        if isinstance(branches, list) and branches:
            found = [self._outline(branch, root, depth + 1) for branch in branches[:_MAX_PROPERTIES]]
            return {"anyOf": found} if all(found) and len(found) == len(branches) else {}
        kind = node.get("type")
        if kind is None and isinstance(node.get("properties"), dict):
            kind = "object"
        if kind == "object":
            return self._object(node, root, depth)
        if kind == "array":
            items = node.get("items")
            return (
                {"type": "array", "items": self._outline(items, root, depth + 1)}
                if items
                else {"type": "array"}
            )
        return {"type": kind} if isinstance(kind, str) and kind in _TYPES else {}

    def _object(self, node: Json, root: Json, depth: int) -> Json:
        properties = node.get("properties")
        if not isinstance(properties, dict) or not 0 < len(properties) <= _MAX_PROPERTIES:
            return {"type": "object"}
        made: Json = {
            "type": "object",
            "properties": {name: self._outline(one, root, depth + 1) for name, one in properties.items()},
        }
        required = node.get("required")
        if isinstance(required, list):
            made["required"] = [name for name in required if isinstance(name, str) and name in properties]
        if node.get("additionalProperties") is False:
            made["additionalProperties"] = False
        return made


def _resolved(node: object, root: Json) -> object:
    for _ in range(_MAX_HOPS):
        reference = node.get("$ref") if isinstance(node, dict) else None
        if reference is None:
            return node
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        node = root
        for part in reference[2:].split("/"):
            node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return None


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)
