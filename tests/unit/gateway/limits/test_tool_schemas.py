"""Outlines of tools' parameters: nothing in them that the engine's own converter does not survive."""

from __future__ import annotations

from typing import Any

import pytest

from foundrylocal.gateway.limits.tool_schemas import MAX_PARTS, OutlineBudget

_ANY = {"type": "object"}
_LOOP = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}


def _with_a(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


@pytest.mark.parametrize(
    ("schema", "outline"),
    [
        ({}, _ANY),
        ({"type": "string"}, _ANY),
        ({"$ref": "#"}, _ANY),
        ({"$defs": _LOOP, "$ref": "#/$defs/a"}, _ANY),
        (
            {"properties": {"a": {"enum": ["x", 1, None]}, "b": {"const": "y"}}, "required": ["a", "c"]},
            {
                "type": "object",
                "properties": {"a": {"enum": ["x", 1, None]}, "b": {"enum": ["y"]}},
                "required": ["a"],
            },
        ),
        (
            _with_a({"type": "string", "pattern": "(((a{99}){99}){99})", "minLength": 10**9}),
            _with_a({"type": "string"}),
        ),
        (
            _with_a({"type": "array", "minItems": 5, "maxItems": 1, "items": {"type": "integer"}}),
            _with_a({"type": "array", "items": {"type": "integer"}}),
        ),
        (
            _with_a({"oneOf": [{"type": "string"}, {"type": "null"}]}),
            _with_a({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ),
        (_with_a({"anyOf": [{}]}), _with_a({})),
    ],
)
def test_an_outline_has_types_and_values_only(schema: dict[str, Any], outline: dict[str, Any]) -> None:
    assert OutlineBudget().outline(schema) == outline


def test_recursion_ends() -> None:
    schema = {"type": "object", "properties": {name: {"$ref": "#"} for name in "abcdefgh"}}
    assert _parts(OutlineBudget().outline(schema)) <= 10 * MAX_PARTS


def _parts(node: object) -> int:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return 1 + sum(map(_parts, children))
