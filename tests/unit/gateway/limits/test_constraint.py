"""What an answer may be held to: what is kept, what is refused, and what is only much work."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.limits.adherence import Adherence
from foundrylocal.gateway.limits.constraint import (
    CallableTool,
    Constraint,
    calls_constraint,
    grammar_constraint,
    schema_constraint,
)
from foundrylocal.gateway.limits.schema_text import SchemaBudget

JSON_GRAMMAR = r"""
root   ::= object # the one that llama.cpp comes with
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
"""
NODE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 80},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def keeps(constraint: Constraint, text: str) -> bool:
    adherence = Adherence(constraint, "grammar")
    return adherence.follow(text) and adherence.is_complete()


@pytest.mark.parametrize(
    ("grammar", "kept", "broken"),
    [
        (JSON_GRAMMAR, '{"a": [1, "x\\u00e9"]}', "{a}"),
        ('root ::= expr\nexpr ::= term "+" expr | term\nterm ::= [0-9]+ | "(" expr ")"', "1+(2+3)", "1+"),
        ('root ::= "a" root "b" | "a" root "c" | ""', "aabc", "aab"),
        ("root ::= s\ns ::= s s | [a-z]", "abc", "aB"),
        # where llguidance's own lexemes would be greedy
        ('root ::= word "b"\nword ::= [a-z]+', "aab", "b"),
        ('root ::= ("yes" | "yesterday") ("tomorrow" | "t")', "yestomorrow", "yes"),
        # names that differ in case or dash only, and one that Lark has a meaning for
        ('root ::= Foo foo\nFoo ::= "x"\nfoo ::= "y"', "xy", "yx"),
        ('root ::= a-b a_b\na-b ::= "x"\na_b ::= "y"', "xy", "xx"),
        ('start ::= "x"\nroot ::= start "y"', "xy", "x"),
        # escapes
        (r'root ::= "\u0041" [\u0041-\U0000005A] [^\x00-\x40]', "AZb", "AZ1"),
        (r'root ::= "\"\\" [\]\[&~-]', '"\\]', '"\\a'),
        ('root ::= "é" [é-ü] . "/" "//" [/]', "éüx////", "éax////"),
        ('root ::= "a"{2,3} "\\n" [-a] [a-]', "aa\na-", "a\na-"),
        ("root ::= .*", "a\nb", None),
        ('%llguidance {}\nstart: "x" | "y"', "y", "z"),
    ],
)
def test_a_grammar_allows_what_it_says(grammar: str, kept: str, broken: str | None) -> None:
    constraint = grammar_constraint(grammar, "grammar")
    assert keeps(constraint, kept)
    assert broken is None or not keeps(constraint, broken)


_TAGGED = {
    "oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
    "$defs": {
        name: {"type": "object", "properties": {"t": {"const": name}, "v": {}}, "required": ["t"]}
        for name in "ab"
    },
}


@pytest.mark.parametrize(
    ("schema", "kept", "broken"),
    [
        ({"type": "string", "pattern": r"^\d{3}-\x41$"}, '"123-A"', '"12-A"'),
        ({"type": "integer", "minimum": 5, "maximum": 7}, "6", "8"),
        ({"type": "number", "multipleOf": 0.25, "minimum": 0}, "1.25", "1.3"),
        ({"type": "string", "format": "date"}, '"2026-01-31"', '"2026-13-31"'),
        ({"type": "array", "items": {"enum": [1, 2]}, "minItems": 2}, "[1, 2]", "[1]"),
        ({"type": "object", "patternProperties": {"^x": {"type": "integer"}}}, '{"x": 1}', '{"x": "1"}'),
        (
            {"$defs": {"node": NODE}, "$ref": "#/$defs/node"},
            '{"name": "a", "next": {"name": "b"}}',
            '{"next": 1}',
        ),
        (_TAGGED, '{"t": "b"}', '{"t": "c"}'),
    ],
)
def test_a_schema_allows_what_it_says(schema: dict[str, Any], kept: str, broken: str) -> None:
    constraint = schema_constraint(schema, "schema", SchemaBudget())
    assert keeps(constraint, kept)
    assert not keeps(constraint, broken)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"not": {}}, 'Unimplemented keys: ["not"]'),
        ({"type": "array", "uniqueItems": True}, 'Unimplemented keys: ["uniqueItems"]'),
        ({"if": {}}, 'Unimplemented keys: ["if"]'),
        ({"dependentRequired": {"a": ["b"]}}, 'Unimplemented keys: ["dependentRequired"]'),
        ({"type": "string", "format": "bogus"}, "Unknown format: bogus"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"type": "string", "pattern": "(a)\\1"}, "backreferences are not supported"),
        ({"minProperties": 2, "properties": {"a": {}}}, "min/maxProperties only supported when"),
        ({"oneOf": [{"type": "string"}, {"maxLength": 3}]}, "oneOf constraints are not supported"),
        # llguidance's own options are not the caller's to set
        ({"not": {}, "x-guidance": {"lenient": True}}, 'Unimplemented keys: ["not"]'),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_place_and_reason(
    schema: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        schema_constraint(schema, "response_format.json_schema.schema", SchemaBudget())
    assert caught.value.param == "response_format.json_schema.schema"
    assert str(caught.value.details).startswith("response_format.json_schema.schema: ")
    assert reason in str(caught.value.details) and reason in caught.value.message


@pytest.mark.parametrize(
    "options", [{"lenient": True}, {"whitespace_pattern": "x*"}, {"key_separator": "="}, 5]
)
def test_options_of_llguidance_are_not_the_callers_to_set(options: object) -> None:
    def rules(**more: object) -> str:
        schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "null"} | more}}}
        return schema_constraint(schema | more, "schema", SchemaBudget()).rules

    assert rules(**{"x-guidance": options}) == rules()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "a',
        "root ::= (((",
        "root ::= x",
        "root ::= ?",
        "root ::= \\",
        "x",
        'root ::= "a"{5,1}',
        "root ::= <think>",
        "{" + " " * 60_000,
        "\n" * 60_000,
        "root ::= " + "(" * 40_000,
        "root ::= [" + "a" * 60_000,
    ],
    ids=range(12),
)
def test_a_grammar_that_is_none_is_refused(grammar: str) -> None:
    with pytest.raises(InvalidRequest):
        grammar_constraint(grammar, "grammar")


_ANY_TEN = [
    {"anyOf": [{"type": "object", "properties": {f"p{n}_{m}": {"const": m}}} for m in range(10)]}
    for n in range(6)
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"type": "string"}, {"$ref": "#"}]},
        {"anyOf": [{"type": "array", "items": {"$ref": "#"}}] * 2},
        {"type": "string", "pattern": "^((.{0,50}){0,50}){0,50}$"},
        {"type": "string", "pattern": "(a|b)*a(a|b){300}"},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "minItems": 10**9},
        {"prefixItems": [{}] * 5000},
        {"allOf": _ANY_TEN},
        {"properties": {f"p{n}": {} for n in range(1000)}},
    ],
    ids=range(10),
)
def test_a_hostile_schema_is_settled(schema: dict[str, Any]) -> None:
    """Refused or not: what counts is that the work ends (docs/decisions/0021 has the figures)."""
    try:
        schema_constraint(schema, "schema", SchemaBudget())
    except InvalidRequest as error:
        assert error.param == "schema"


def test_all_schemas_of_a_request_share_one_budget() -> None:
    schema = {"type": "object", "properties": {f"property_{n}": {"type": "string"} for n in range(200)}}
    tools = [CallableTool(f"f{n}", schema, f"tools[{n}]") for n in range(128)]
    with pytest.raises(InvalidRequest) as caught:
        calls_constraint(tools, 1, SchemaBudget())
    assert "128 KB together" in caught.value.message


def test_128_recursive_tools_are_one_constraint() -> None:
    schema = {"$defs": {"node": NODE}, "$ref": "#/$defs/node"}
    tools = [CallableTool(f"f{n}", schema, f"tools[{n}]") for n in range(128)]
    constraint = calls_constraint(tools, 2, SchemaBudget())
    call = '{"name":"%s","arguments":%s}'
    assert keeps(constraint, call % ("f127", '{"name": "a"}'))
    assert keeps(constraint, call % ("f1", '{"name": "a"}') + "\n" + call % ("f2", '{"name": "b"}'))
    assert not keeps(constraint, call % ("f128", '{"name": "a"}'))
    assert not keeps(constraint, call % ("f1", '{"next": null}'))


def test_a_call_or_words() -> None:
    words = schema_constraint({"type": "array", "items": {"type": "integer"}}, "words", SchemaBudget())
    constraint = calls_constraint([CallableTool('a"\\é', {}, "tools[0]")], 1, SchemaBudget(), words)
    assert keeps(constraint, "[1, 2]")
    assert keeps(constraint, '{"name":"a\\"\\\\é","arguments":{}}')
    assert not keeps(constraint, '{"name":"a\\"\\\\é","arguments":[]}')


def test_thoughts_may_come_first() -> None:
    constraint = schema_constraint({"type": "object"}, "schema", SchemaBudget())
    rules = constraint.grammar_after_thoughts.removeprefix("%llguidance {}\n")
    thinking = Constraint(rules, has_own_start=True)
    assert keeps(thinking, 'Hm, {"x"</think>\n\n{"a": 1}')
    assert not keeps(thinking, '{"a": 1}')


def test_copies_are_independent() -> None:
    start = Adherence(grammar_constraint('root ::= "ab"', "grammar"), "grammar")
    one, other = start.copy(), start.copy()
    assert one.follow("ab") and one.is_complete() and not start.is_complete()
    assert not other.follow("b") and start.follow("a")


def test_the_digest_is_of_the_rules() -> None:
    one, other = (grammar_constraint(f'root ::= "{word}"', "grammar") for word in ("a", "b"))
    assert one.digest == grammar_constraint('root ::= "a"', "grammar").digest != other.digest


_ACCEPTED: list[tuple[dict[str, Any] | bool, list[Any]]] = [
    ({"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 8}, [5, 6, 7, 8]),
    ({"type": "number", "exclusiveMinimum": 0, "maximum": 1.5}, [0, 0.5, 1.5, 1.6, -1]),
    ({"type": "integer", "multipleOf": 3, "minimum": 4, "maximum": 10}, [3, 6, 7, 9, 12]),
    ({"type": ["string", "null"], "minLength": 2, "maxLength": 3}, ["a", "ab", "abcd", None, 1]),
    ({"type": "string", "minLength": 2, "pattern": "^a+$"}, ["a", "aa", "ab"]),
    ({"type": "string", "pattern": "^a|b$"}, ["ax", "xb", "x"]),
    ({"type": "string", "pattern": "a.c"}, ["xabcx", "a\nc", "ac"]),
    ({"pattern": "^a", "minimum": 3}, ["ab", "b", 2, 4, None]),
    ({"const": {"a": [1, 2]}}, [{"a": [1, 2]}, {"a": [2]}, {}]),
    ({"enum": [1, "a", None, {"b": 1}]}, [1, "a", None, {"b": 1}, 2, "b"]),
    ({"type": "object", "maxProperties": 1}, [{}, {"a": 1}, {"a": 1, "b": 1}]),
    ({"type": "object", "minProperties": 1}, [{}, {"a": 1}]),
    (
        {"type": "object", "required": ["z"], "additionalProperties": {"type": "integer"}},
        [{"z": 1}, {"z": "1"}, {}],
    ),
    ({"type": "object", "properties": {"a": False}}, [{"a": 1}, {}]),
    (
        {"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False},
        [{"x": 1}, {"y": 1}, {"x": "1"}],
    ),
    ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, [[1], [1, 2], ["a"]]),
    (
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        [[], [1], [1, 2], [1, 2, 3]],
    ),
    ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, [1, "a", None]),
    (
        {
            "type": "object",
            "properties": {"a": {}, "b": {}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        [{"a": 1}, {"b": 1}, {"c": 1}, {}],
    ),
    (
        {"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "integer"}}}], "type": "object"},
        [{"a": 1}, {"a": "x"}, {}],
    ),
    ({"$ref": "#foo", "$defs": {"x": {"$anchor": "foo", "type": "integer"}}}, [1, "a"]),
    ({"type": "object", "properties": {"a": {"$ref": "#"}}}, [{"a": {"a": {}}}, {"a": 1}]),
]


@pytest.mark.parametrize(("schema", "values"), _ACCEPTED, ids=range(len(_ACCEPTED)))
def test_what_a_schema_allows_is_what_it_means(schema: dict[str, Any], values: list[Any]) -> None:
    """Compared with a validator that shares nothing with llguidance."""
    constraint = schema_constraint(schema, "schema", SchemaBudget())
    is_valid = Draft202012Validator(schema).is_valid
    kept = {json.dumps(value): keeps(constraint, json.dumps(value)) for value in values}
    assert kept == {json.dumps(value): is_valid(value) for value in values}
    assert len(set(kept.values())) == 2


_OTHERS: list[dict[str, Any]] = [
    {"contains": {"const": 1}},
    {"minContains": 1},
    {"propertyNames": {"pattern": "^a"}},
    {"unevaluatedProperties": False},
    {"unevaluatedItems": False},
    {"dependentSchemas": {"a": {"required": ["b"]}}},
    {"dependencies": {"a": ["b"]}},
    {"then": {"required": ["b"]}},
    {"else": {"required": ["b"]}},
    {"$dynamicRef": "#x"},
    {"$ref": "https://example.com/schema"},
    {"type": "strin"},
    {"minItems": 2, "maxItems": 1, "type": "array"},
    {"minimum": 5, "maximum": 4, "type": "integer"},
    {"enum": []},
    {"type": "string", "maxLength": -1},
    {"type": "string", "pattern": r"\bfoo\b"},
    {"type": "string", "pattern": "(?<!a)b"},
    {"type": "string", "pattern": "a{,3}"},
    {"type": "string", "format": "uri"},
    {"type": "string", "format": "int32"},
]


@pytest.mark.parametrize("schema", _OTHERS, ids=lambda schema: "-".join(schema))
@pytest.mark.parametrize("is_inside", [False, True])
def test_no_keyword_is_silently_ignored(schema: dict[str, Any], is_inside: bool) -> None:
    if is_inside:
        inner = {"type": "object", "properties": {"b": schema}, "required": ["b"]}
        schema = {"type": "object", "properties": {"a": inner}, "required": ["a"]}
    with pytest.raises(InvalidRequest, match="cannot be enforced"):
        schema_constraint(schema, "schema", SchemaBudget())
