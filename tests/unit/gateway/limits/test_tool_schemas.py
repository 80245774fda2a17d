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


_NODE = {"type": "object", "properties": {name: {"$ref": "#/$defs/node"} for name in "abcdefgh"}}
_WIDE: list[dict[str, Any]] = [
    {"$defs": {"node": _NODE}, "$ref": "#/$defs/node"},
    {"type": "object", "properties": {f"p{n}": {"anyOf": [{"type": "string"}] * 60} for n in range(60)}},
    {"type": "object", "properties": {f"p{n}": {"enum": list(range(200))} for n in range(60)}},
    {
        "type": "object",
        "properties": {f"p{n}": {"items": {"type": "string"}, "type": "array"} for n in range(60)},
    },
]


@pytest.mark.parametrize("tools", [1, 128])
@pytest.mark.parametrize("schema", _WIDE, ids=range(len(_WIDE)))
def test_all_tools_of_a_request_share_one_budget(schema: dict[str, Any], tools: int) -> None:
    budget = OutlineBudget()
    outlines = [budget.outline(schema) for _ in range(tools)]
    # The part with which the budget ends is still made, and each property of it is an empty outline.
    assert sum(map(_filled_parts, outlines)) <= MAX_PARTS + 200
    assert outlines[-1]["type"] == "object"


def _filled_parts(node: object) -> int:
    """The outlines that say anything, and the values that they list."""
    if not isinstance(node, dict):
        return 0
    inner = [*node.get("properties", {}).values(), *node.get("anyOf", ()), node.get("items")]
    return bool(node) + len(node.get("enum", ())) + sum(map(_filled_parts, inner))
