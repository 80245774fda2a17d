"""Ordinary schemas, patterns and grammars pass; those that are refused are in `bad_requests`."""

from __future__ import annotations

from typing import Any

import pytest

from foundrylocal.gateway.limits.grammar import check_grammar, check_pattern
from foundrylocal.gateway.limits.json_schema import check_schema

JSON_GRAMMAR = r"""
root   ::= object # the one that llama.cpp comes with
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""
ARITHMETIC = r"""
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*
term  ::= [a-z] [a-z0-9_]* ws | [0-9]+ ws | "(" ws expr ")" ws
ws    ::= [ \t\n]*
"""
LIST = 'root ::= ("- " [^\\n]{1,200} "\\n"){1,10} <[5]> !<think> .'
NODE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 80},
        "kind": {"enum": ["a", "b", None]},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 10},
    },
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("grammar", [JSON_GRAMMAR, ARITHMETIC, LIST])
def test_an_ordinary_grammar_passes(grammar: str) -> None:
    check_grammar(grammar)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?(\.\d+)?(Z|[+-]\d{2}:\d{2})?$",
        r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$",
        r"^(\([0-9]{3}\))?[0-9]{3}-[0-9]{4}$",
        r"^.{1,2000}$",
        "",
    ],
)
def test_an_ordinary_pattern_passes(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        NODE | {"$defs": {"node": NODE}},
        {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
        {"type": "array", "items": {"$ref": "#"}},
        {"allOf": [{"$ref": "#/definitions/a"}], "definitions": {"a": {"properties": {"x": True}}}},
        {"oneOf": [{"const": number} for number in range(900)]},
        {"type": "array", "minItems": 1.0, "maxItems": 3.0},
    ],
)
def test_an_ordinary_schema_passes(schema: dict[str, Any]) -> None:
    check_schema(schema, "schema")
