"""A grammar that doubles the engine's stacks where it recurs is refused; one that only looks like it is not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.limits.ambiguity import MAX_STEPS, check_ambiguity
from foundrylocal.gateway.limits.grammar import check_grammar
from foundrylocal.gateway.limits.grammar_tree import Choice, GrammarTooMuch, Node, Read, Repeat
from foundrylocal.gateway.limits.json_schema import MAX_ALTERNATIVES, check_schema
from tests.unit.gateway.limits.test_json_schema import ARITHMETIC, JSON_GRAMMAR

C = r"""
root ::= (declaration)* # the one that llama.cpp comes with
declaration ::= dataType identifier "(" parameter? ")" "{" statement* "}"
dataType ::= "int" ws | "float" ws | "char" ws
identifier ::= [a-zA-Z_] [a-zA-Z_0-9]*
parameter ::= dataType identifier
statement ::= ( dataType identifier ws "=" ws expression ";" ) | ( identifier ws "=" ws expression ";" ) |
  ( identifier ws "(" argList? ")" ";" ) | ( "return" ws expression ";" ) |
  ( "while" "(" condition ")" "{" statement* "}" ) |
  ( "if" "(" condition ")" "{" statement* "}" ("else" "{" statement* "}")? ) | ( "//" [^\n]* "\n" )
condition ::= expression ("<=" | "<" | "==" | "!=" | ">=" | ">") expression
expression ::= term (("+" | "-") term)*
term ::= factor(("*" | "/") factor)*
factor ::= identifier | [0-9]+ | "-" factor | identifier "(" argList? ")" | "(" ws expression ws ")"
argList ::= expression ("," ws expression)*
ws ::= ([ \t\n]+)
"""
CHESS = r"""
root ::= "1. " move " " move "\n" ([1-9] [0-9]? ". " move " " move "\n")+
move ::= (pawn | nonpawn | castle) [+#]?
nonpawn ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?
"""


def doubles(grammar: str) -> bool:
    try:
        check_grammar(grammar)
    except GrammarTooMuch as error:
        assert "is ambiguous where it recurs" in str(error)
        return True
    return False


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "a" root "b" | "a" root "c" | "x"',
        'root ::= "a" root "b" | "a" root "b" | "x"',
        'root ::= ("a" root "b") | ("a" (root) [c]) | "x"',
        'root ::= "a" root "b" | "aa" root "c" | "x"',
        r'root ::= "\x61\"" root "b" | [\u0061-z] "\"" root "c" | "x"',
        'root ::= [a-m] root "x" | [h-z] root "y" | "0"',
        'root ::= [^a] root "x" | "b" root "y" | "a"',
        'root ::= . root "x" | "é" root "y" | "0"',
        'root ::= <[5]> root "b" | <[5]> root "c" | "x"',
        'root ::= "-"{4} root "b" | "-"{2,5} root "c" | "x"',
        'root ::= expr\nexpr ::= term "+" expr | term "-" expr | term\nterm ::= [0-9]+ | "(" expr ")"',
        'root ::= expr\nexpr ::= term "+" expr | term\nterm ::= [0-9]+ | "(" expr ")"',
        'root ::= a\na ::= "(" b ")" | "x"\nb ::= "[" a "]" | "[" a "}"',
        'root ::= "[" ("a"? root?){0,4} "]"',
        'root ::= s\ns ::= "if " s " else " s | "if " s | "{" s "}" | "x"',
        'root ::= p root "b" | q root "c" | "0"\np ::= "(" p ")" | "q"\nq ::= "(" q ")" | [p-r]',
    ],
)
def test_what_doubles_is_refused(grammar: str) -> None:
    assert doubles(grammar)


@pytest.mark.parametrize(
    "grammar",
    [
        JSON_GRAMMAR,
        ARITHMETIC,
        C,
        CHESS,
        'root ::= value\nvalue ::= "[" value ("," value)* "]" | [0-9]+',
        'root ::= expr\nexpr ::= term ([+-] expr)?\nterm ::= [0-9]+ | "(" expr ")"',
        'root ::= "a" (root "b" | "(" root "c") | "x"',
        'root ::= a\na ::= "(" b ")" | "x"\nb ::= "[" a "]" | "{" a "}"',
        'root ::= [a-m] root "x" | [n-z] root "y" | "0"',
        'root ::= [^a-z] root "x" | [a-z] root "y" | "0"',
        'root ::= <[5]> root "b" | <[6]> root "c" | "x"',
        'root ::= "é" root "b" | "è" root "c" | "x"',
        'root ::= "x"\nunused ::= "a" unused "b" | "a" unused "c" | "x"',
        'root ::= [0-9]{4} "-" root "b" | [0-9]{2} "-" root "c" | "x"',
    ],
)
def test_what_does_not_double_passes(grammar: str) -> None:
    assert not doubles(grammar)


def test_an_else_that_may_be_missing_passes_though_it_doubles_in_blocks() -> None:
    """Real grammars have it, and only text made for it doubles (docs/decisions/0014)."""
    assert not doubles('root ::= s\ns ::= "if " s (" else " s)? | "{" s* "}" | "x;"')


@pytest.mark.parametrize(
    "grammar",
    [
        'root ::= "a" root | "a" root | "a"',
        'root ::= "a" root "b" | "a" root | "x"',
        'root ::= "a"? "a" root "b" | "x"',
        'root ::= "-"+ root "b" | "x"',
        'root ::= s\ns ::= "if " s " else " s | "if " s | "x"',
    ],
)
def test_stacks_that_grow_by_one_at_a_time_pass(grammar: str) -> None:
    """The same rests in any order are the same stack, so there are only as many as the text is long."""
    assert not doubles(grammar)


def test_what_does_not_recur_costs_nothing() -> None:
    way: list[Node] = [Repeat(Read("[a-z]"), 0, 2000)]
    assert check_ambiguity({"root": Choice([["word", "word"]]), "word": Choice([way, way])}) == 0


def _words(count: int) -> Choice:
    return Choice(
        [[Read(f"[{chr(0x4E00 + number)}-{chr(0x9000 + number)}]"), "w"] for number in range(count)]
    )


def _all_to_all(count: int) -> dict[str, Choice]:
    ways: list[list[Node]] = [[Read(f'"{chr(97 + n)}"'), f"r{n}", Read(f'"{n}"')] for n in range(count)]
    return {f"r{n}": Choice(ways) for n in range(count)} | {"root": Choice([["r0"]])}


def _chain(count: int) -> dict[str, Choice]:
    names = ["root", *(f"r{n}" for n in range(1, count)), "root"]
    return {name: Choice([[Read('"a"'), after, Read('"b"')]]) for name, after in pairwise(names)}


def _nested(depth: int) -> Node:
    node: Node = "root"
    for _ in range(depth):
        node = Choice([[Read('"a"'), Repeat(node, 1, 3)]])
    return node


_ROOT = Choice([[Read('"("'), "w", "root", Read('")"')], [Read('"x"')]])


@pytest.mark.parametrize(
    "rules",
    [
        {"root": _ROOT, "w": _words(900)},
        {"root": _ROOT, "w": Choice([[Repeat(Repeat(Read("."), 0, 1), 0, 2000)]])},
        {"root": _ROOT, "w": Choice([[Repeat(Read("."), 2000, None)]] * 50)},
        {"root": _ROOT, "w": Choice([[Read('"' + "x" * 60_000 + '"')]])},
        _all_to_all(60),
        _chain(5000),
    ],
)
def test_the_work_is_bounded(rules: dict[str, Choice]) -> None:
    assert 0 < check_ambiguity(rules) <= MAX_STEPS


def test_deep_nesting_is_no_error() -> None:
    check_ambiguity({"root": Choice([[_nested(2000), Read('")"')], [Read('"x"')]])})


# --- JSON schemas: each of these verdicts is also that of the grammar which the engine makes of the schema ---

Json = dict[str, Any]
SELF: Json = {"$ref": "#/$defs/n"}
TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
NULL: Json = {"type": "null"}


def _object(properties: Json, required: list[str] | None = None, **others: Any) -> Json:
    needed = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": needed} | others


def _array(items: Json, **others: Any) -> Json:
    return {"type": "array", "items": items} | others


def _any(*ways: Json) -> Json:
    return {"anyOf": list(ways)}


def _operation(*kinds: str) -> Json:
    return _object({"type": {"enum": list(kinds)}, "left": SELF, "right": SELF})


def schema_doubles(node: Json) -> bool:
    try:
        check_schema({"$ref": "#/$defs/n", "$defs": {"n": node}}, "schema")
    except InvalidRequest as refusal:
        assert "is ambiguous where it recurs: #/$defs/n" in str(refusal.__dict__)
        return True
    return False


@pytest.mark.parametrize(
    "node",
    [
        _any(_array(SELF, minItems=1, maxItems=1), _array(SELF), NUMBER),
        _any(_array(_any(SELF, TEXT)), _array(SELF, minItems=2), TEXT),
        _any(
            _object({"left": SELF, "op": {"const": "a"}}), _object({"left": SELF, "op": {"const": "b"}}), NULL
        ),
        _any(_operation("add", "sub"), _operation("mul", "sub"), NUMBER),
        _any({"type": "object", "additionalProperties": SELF}, _object({"a": SELF}, []), NUMBER),
        _any(
            {"allOf": [_object({"a": _array(SELF)}), _object({"b": TEXT})]},
            _object({"a": _array(SELF)}),
            TEXT,
        ),
        _any(
            {"type": "array", "prefixItems": [TEXT, SELF]},
            {"type": "array", "prefixItems": [{"const": "neg"}, SELF]},
            NUMBER,
        ),
        _any(_object({"k": {"type": "integer"}, "r": SELF}), _object({"k": NUMBER, "r": SELF}), NULL),
        _any(
            _object({"k": {"type": ["integer", "null"]}, "r": SELF}),
            _object({"k": {"type": ["string", "null"]}, "r": SELF}),
            NULL,
        ),
        _any(_object({"k": {}, "r": SELF}), _object({"k": {"const": "x"}, "r": SELF}), NULL),
        _any(_object({"a": TEXT, "r": SELF}, []), _object({"b": TEXT, "r": SELF}, []), NULL),
    ],
)
def test_a_schema_that_doubles_is_refused(node: Json) -> None:
    assert schema_doubles(node)


@pytest.mark.parametrize(
    "node",
    [
        _any(_operation("add"), _operation("mul"), _object({"type": {"const": "number"}, "value": NUMBER})),
        _any(_operation("add", "sub"), _operation("mul", "adx"), NUMBER),
        {"oneOf": [_operation("a"), _operation("b"), _object({"type": {"const": "ab"}, "r": _array(SELF)})]},
        _object({"v": NUMBER, "next": _any(SELF, NULL)}, ["v"]),
        _object({"name": TEXT, "children": _array(SELF)}),
        _object({"name": TEXT, "children": _array(SELF), "x": SELF, "y": SELF}, []),
        _object(
            {
                "type": {"enum": ["div", "button"]},
                "label": TEXT,
                "children": _array(SELF),
                "attributes": _array(_object({"name": TEXT, "value": TEXT})),
            }
        ),
        _any(TEXT, NUMBER, NULL, _array(SELF), {"type": "object", "additionalProperties": SELF}),
        _object({"children": _array(SELF), "child": TEXT}, ["children"], additionalProperties=SELF),
        _object({"children": _array(SELF)}, [], additionalProperties=True),
        _object({"not": SELF, "and": _array(SELF), "or": _array(SELF)}, [], additionalProperties=False),
        _any(_object({"x": SELF}), _array(SELF), TEXT),
        {"allOf": [_object({"a": SELF}), _object({"b": _array(SELF)})]},
        _any(
            {"type": "array", "prefixItems": [{"const": "add"}, SELF, SELF]},
            {"type": "array", "prefixItems": [{"const": "neg"}, SELF]},
            NUMBER,
        ),
        _any(_object({"k": {"type": "integer"}, "r": SELF}), _object({"k": TEXT, "r": SELF}), NULL),
        _any(
            _object({"k": {"type": "string", "pattern": "^a$"}, "r": SELF}),
            _object({"k": {"type": "string", "pattern": "^b$"}, "r": SELF}),
            NULL,
        ),
        _array(SELF, maxItems=3),
        {"type": ["object", "array"], "properties": {"items": TEXT}, "items": SELF},
    ],
)
def test_a_schema_that_does_not_double_passes(node: Json) -> None:
    assert not schema_doubles(node)


@pytest.mark.parametrize(
    "node",
    [
        _object({f"p{n}": SELF for n in range(400)}, []),
        _object({"x" * n: SELF for n in range(400)}, [], additionalProperties=SELF),
        _object({"x" * 300_000: SELF}),
        _any(*[_operation(str(n)) for n in range(MAX_ALTERNATIVES // 2)]),
        _array(SELF, minItems=2000, maxItems=2**31 - 1),
        _any(*[_array(_object({f"p{n}": _array(SELF)}), minItems=n, maxItems=n) for n in (0, 2)]),
    ],
)
def test_a_schema_that_is_only_large_passes(node: Json) -> None:
    assert not schema_doubles(node)
