"""Forty strict schemas as applications send them, from plain objects to what JSON Schema has in corners."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
STRING, INTEGER, NUMBER, BOOLEAN = ({"type": name} for name in ("string", "integer", "number", "boolean"))


def an_object(**properties: Schema) -> Schema:
    """All properties required, no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def a_list(items: Schema, **bounds: int) -> Schema:
    return {"type": "array", "items": items, **{"maxItems": 3, **bounds}}


def text(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


def a_format(name: str) -> Schema:
    return {"type": "string", "format": name}


NAME = {"type": "string", "maxLength": 12}
REST = {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}
SCHEMAS: list[Schema] = [
    an_object(name=NAME),
    an_object(name=NAME, age=INTEGER),
    an_object(ok=BOOLEAN),
    an_object(x=NUMBER),
    an_object(nothing={"type": "null"}),
    an_object(color={"enum": ["red", "green", "blue"]}),
    an_object(kind={"const": "cat"}),
    an_object(mixed={"enum": ["a", 1, None, True]}),
    an_object(list=a_list(NAME)),
    an_object(list=a_list(INTEGER, minItems=2)),
    an_object(list=a_list(an_object(a=INTEGER))),
    an_object(matrix=a_list(a_list(INTEGER))),
    an_object(inner=an_object(deep=an_object(value=BOOLEAN))),
    an_object(maybe={"type": ["string", "null"], "maxLength": 8}),
    an_object(either={"anyOf": [INTEGER, BOOLEAN]}),
    an_object(one={"oneOf": [an_object(a=INTEGER), an_object(b=BOOLEAN)]}),
    an_object(all={"allOf": [{"type": "integer"}, {"minimum": 3, "maximum": 5}]}),
    an_object(small={"type": "integer", "minimum": 1, "maximum": 9}),
    an_object(above={"type": "integer", "exclusiveMinimum": 10, "exclusiveMaximum": 13}),
    an_object(negative={"type": "integer", "minimum": -5, "maximum": -2}),
    an_object(part={"type": "number", "minimum": 0, "maximum": 1}),
    an_object(even={"type": "integer", "multipleOf": 2, "minimum": 0, "maximum": 100}),
    an_object(short={"type": "string", "minLength": 3, "maxLength": 5}),
    an_object(code=text("^[A-Z]{3}-[0-9]{4}$")),
    an_object(digits=text(r"^\d{5}$")),
    an_object(plate=text("^(AB|CD)[0-9]{2}$")),
    an_object(part=text("[0-9]{3}")),
    an_object(date=a_format("date")),
    an_object(time=a_format("date-time")),
    an_object(mail=a_format("email")),
    an_object(id=a_format("uuid")),
    an_object(address=a_format("ipv4")),
    {"type": "object", "properties": {"a": INTEGER, "b": BOOLEAN}, "required": ["a"], "additionalProperties": False},
    {"type": "object", "additionalProperties": INTEGER, "maxProperties": 2},
    {"type": "array", "prefixItems": [INTEGER, BOOLEAN], "items": False, "minItems": 2},
    a_list(an_object(name=NAME, tags=a_list(NAME)), minItems=1),
    {"$defs": {"point": an_object(x=INTEGER, y=INTEGER)}, **an_object(at={"$ref": "#/$defs/point"})},
    {"$defs": {"node": an_object(v=INTEGER, next=REST)}, "$ref": "#/$defs/node"},
    an_object(**{"key with space": INTEGER, 'quote"d': BOOLEAN}),
    an_object(größe=INTEGER, emoji={"enum": ["🙂", "🙃"]}),
]  # fmt: skip
