"""Work that llguidance does not bound: counted, and refused before it gets there."""

from __future__ import annotations

from typing import Any

import pytest

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.limits import adherence
from foundrylocal.gateway.limits.adherence import Adherence
from foundrylocal.gateway.limits.constraint import grammar_constraint, schema_constraint
from foundrylocal.gateway.limits.schema_text import SchemaBudget
from foundrylocal.gateway.limits.schema_work import check_work

PATTERNS = [{"type": "string", "pattern": f"a.{{{number}}}b"} for number in range(9)]
Json = dict[str, Any]


def chain(length: int) -> Json:
    """Definitions that each have a pattern and refer to the next one."""
    names = [f"d{number}" for number in range(length)]
    definitions: Json = {
        name: {"pattern": f"a.{{{number}}}b", "$ref": f"#/$defs/d{number + 1}"}
        for number, name in enumerate(names)
    }
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{length}": {"type": "string"}}}


def elsewhere(prefix: str) -> Json:
    return {
        "allOf": [{"$ref": f"{prefix}{number}"} for number in range(9)],
        "$defs": {f"p{number}": one for number, one in enumerate(PATTERNS)},
    }


def unrolled() -> Json:
    """Each level of it joins one more pattern to those of the levels above."""

    def node(number: int) -> Json:
        references = [{"$ref": f"#/$defs/n{number}"}, {"$ref": f"#/$defs/n{(number + 1) % 9}"}]
        return {"type": "object", "properties": {"s": PATTERNS[number], "n": {"allOf": references}}}

    return {"$ref": "#/$defs/n0", "$defs": {f"n{number}": node(number) for number in range(9)}}


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": PATTERNS},
        {"items": {"allOf": PATTERNS}},
        {"allOf": [{"properties": {"x": one}} for one in PATTERNS]},
        {"allOf": [{"anyOf": [one, {"type": "null"}]} for one in PATTERNS]},
        {"pattern": "x", "anyOf": [{"pattern": "y", "allOf": PATTERNS[:7]}]},
        chain(9),
        unrolled(),
        # references that only llguidance follows
        elsewhere("json-schema:///#/$defs/p"),
        elsewhere("#/%24defs/p"),
    ],
)
def test_patterns_that_hold_at_the_same_time_are_few(schema: Json) -> None:
    with pytest.raises(InvalidRequest, match=r"'p'.*combines more than 8") as caught:
        schema_constraint(schema, "p", SchemaBudget())
    assert caught.value.param == "p"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{number}": one for number, one in enumerate(PATTERNS)}},
        {"anyOf": PATTERNS},
        {"allOf": [{"properties": {f"p{number}": one}} for number, one in enumerate(PATTERNS[:8])]},
        {
            "properties": {str(number): {"$ref": "#/$defs/d"} for number in range(20)},
            "$defs": {"d": PATTERNS[0]},
        },
        # refers to itself and joins nothing
        {"properties": {"s": {"anyOf": PATTERNS}, "next": {"$ref": "#"}}},
        {"properties": {"s": {"anyOf": PATTERNS}, "next": {"$ref": "#", "title": "The next one"}}},
        {"$ref": "#"},
        {"$ref": 5, "allOf": {}, "properties": [], "items": 3},
    ],
)
def test_those_of_different_values_may_be_many(schema: Json) -> None:
    check_work(schema, "p")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "multipleOf": 99_991},
        {"type": "number", "multipleOf": 1e300},
        {"type": "integer", "allOf": [{"multipleOf": number} for number in (97, 89, 83)]},
    ],
)
def test_multiples_need_few_states(schema: Json) -> None:
    with pytest.raises(InvalidRequest, match=r"'p'.*multipleOf"):
        schema_constraint(schema, "p", SchemaBudget())


def test_multiples_count_for_the_budget_of_the_request() -> None:
    schema = {"properties": {f"p{number}": {"multipleOf": 19_000 + number} for number in range(7)}}
    with pytest.raises(InvalidRequest, match="128 KB"):
        schema_constraint(schema, "p", SchemaBudget())
    for usual in (0.01, 0.25, 5, 100, 1000.0):
        assert check_work({"type": "number", "multipleOf": usual}, "p") <= 10_000


def test_pattern_properties_are_few() -> None:
    schema: Json = {"patternProperties": {f"^a{number}_": {} for number in range(65)}}
    with pytest.raises(InvalidRequest, match="more than 64 'patternProperties'"):
        schema_constraint(schema, "p", SchemaBudget())


def test_a_chain_of_references_ends() -> None:
    with pytest.raises(InvalidRequest, match="chain of references"):
        check_work(chain(5000), "p")


LARK = "%llguidance {}\n"


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        (f"{LARK}start: A\nA: " + " & ".join(f"/[ab]*a[ab]{{{number}}}/" for number in range(10)), "'&'"),
        (f'{LARK}start: "\n" A "\n"\nA: ' + " & ".join(f"/a{number}/" for number in range(10)), "'&'"),
        (LARK + 'start: %json {"multipleOf": 99991}', "multipleOf"),
        (LARK + "start: %json {", "not followed by a JSON schema"),
    ],
)
def test_a_grammar_in_lark_is_counted_too(grammar: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        grammar_constraint(grammar, "grammar")


def test_what_took_too_long_to_compile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    constraint = grammar_constraint('root ::= "ab"', "grammar")
    monkeypatch.setattr(adherence, "MAX_COMPILE_S", -1.0)
    with pytest.raises(
        InvalidRequest, match="'grammar' cannot be enforced: it takes too much work"
    ) as caught:
        Adherence(constraint, "grammar")
    assert caught.value.param == "grammar"
