"""What an answer must look like: a schema, grammar or list of calls as one llguidance grammar, checked beforehand.

The engine runs llguidance too. It ignores a grammar that it cannot read, so nothing goes there unchecked.
The package is imported with the first constraint: most services never see one.

Invariant: a Constraint exists only for a grammar that llguidance accepts with every keyword kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.limits.schema_text import SchemaBudget, schema_text
from foundrylocal.gateway.limits.schema_work import check_lark

HEADER = "%llguidance {}\n"
# A fifth of what the engine's own copy allows: what passes here passes there.
_MAX_GRAMMAR_SIZE = 100_000
MAX_GRAMMAR_CHARACTERS = 65_536
_ANSWER = "answer"
# A template that opens the model's thoughts itself: the answer begins behind their end.
_AFTER_THOUGHTS = "start: thoughts /[ \\n]{0,4}/ answer\nthoughts[lazy]: /(?s:.)*<\\/think>/\n"
_MAX_REASON = 300
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Constraint:
    """`rules` define the answer; `digest` tells constraints apart without their text."""

    rules: str
    has_own_start: bool = False

    @property
    def grammar(self) -> str:
        """What the engine gets."""
        return HEADER + self.rules if self.has_own_start else f"{HEADER}start: {_ANSWER}\n{self.rules}"

    @property
    def grammar_after_thoughts(self) -> str:
        """What the engine gets where the model's thoughts come first and end with `</think>`."""
        return self.grammar if self.has_own_start else HEADER + _AFTER_THOUGHTS + self.rules

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.rules.encode()).hexdigest()


def schema_constraint(schema: Json | bool, place: str, budget: SchemaBudget) -> Constraint:
    """JSON that keeps `schema`. Raises InvalidRequest with the place and what cannot be kept."""
    return checked(Constraint(f"{_ANSWER}: %json {schema_text(schema, place, budget)}\n"), place)


def grammar_constraint(text: str, place: str) -> Constraint:
    """Text that keeps a grammar in GBNF, or in Lark behind `%llguidance {}`. Raises InvalidRequest."""
    from foundrylocal.gateway.limits.gbnf import GrammarInvalid, lark_of

    if len(text) > MAX_GRAMMAR_CHARACTERS:
        raise refusal(place, f"is longer than {MAX_GRAMMAR_CHARACTERS} characters")
    text = text.strip()
    try:
        if text.startswith(HEADER.strip()):
            check_lark(text, place)
            constraint = Constraint(text.removeprefix(HEADER.strip()).strip() + "\n", has_own_start=True)
        else:
            constraint = Constraint(lark_of(text, _ANSWER))
    except GrammarInvalid as error:
        raise refusal(place, str(error)) from None
    return checked(constraint, place)


@dataclass(frozen=True, slots=True)
class CallableTool:
    """A tool that the answer may call; `place` is where the request has its schema."""

    name: str
    schema: Json
    place: str


def calls_constraint(
    tools: Sequence[CallableTool], max_calls: int, budget: SchemaBudget, other: Constraint | None = None
) -> Constraint:
    """Calls of these tools, one a line, as `{"name":"...","arguments":{...}}`; or what `other` allows.

    Raises InvalidRequest with the place of a schema that cannot be kept.
    """
    rules = [_call_rule(number, tool, budget) for number, tool in enumerate(tools)]
    any_call = " | ".join(f"call_{number}" for number in range(len(tools)))
    calls = "call" if max_calls == 1 else f'call ("\\n" call){{0,{max_calls - 1}}}'
    text = f"calls: {calls}\ncall: {any_call}\n" + "".join(rules)
    if other is None:
        constraint = Constraint(f"{_ANSWER}: calls\n{text}")
    else:
        constraint = Constraint(
            f"{_ANSWER}: calls | words\n{text}" + other.rules.replace(f"{_ANSWER}:", "words:", 1)
        )
    if _reason_against(constraint.grammar):  # one of the tools is the reason: which
        for tool in tools:
            schema_constraint(_arguments(tool.schema), tool.place, SchemaBudget())
    return checked(constraint, tools[0].place)


def _call_rule(number: int, tool: CallableTool, budget: SchemaBudget) -> str:
    before = json.dumps(
        f'{{"name":{json.dumps(tool.name, ensure_ascii=False)},"arguments":', ensure_ascii=False
    )
    return f'call_{number}: {before} %json {schema_text(_arguments(tool.schema), tool.place, budget)} "}}"\n'


def _arguments(schema: Json) -> Json:
    """Arguments are an object, whether the schema says so or not."""
    return schema if "type" in schema or "$ref" in schema else {"type": "object", **schema}


def checked(constraint: Constraint, place: str) -> Constraint:
    """The same constraint when llguidance accepts it. Raises InvalidRequest with llguidance's reason."""
    reason = _reason_against(constraint.grammar)
    if reason:
        raise refusal(place, reason)
    return constraint


def refusal(place: str, reason: str) -> InvalidRequest:
    """The error for a constraint that cannot be kept."""
    return InvalidRequest(
        f"Invalid request: '{place}' cannot be enforced: {reason}", f"{place}: {reason}", param=place
    )


@lru_cache(maxsize=64)  # applications send the same schema again and again
def _reason_against(grammar: str) -> str:
    """Why llguidance does not accept a grammar, empty when it does. It gives the interpreter lock away meanwhile."""
    from llguidance import LLMatcher, LLParserLimits

    limits = LLParserLimits(max_grammar_size=_MAX_GRAMMAR_SIZE, verbose_errors=False)
    is_error, messages = LLMatcher.validate_grammar_with_warnings(grammar, limits=limits)
    if not messages:
        return ""
    text = messages[0].partition("\n   1 |")[0].partition("failed to compile JSON schema: ")
    reason = " ".join((text[2] or text[0]).split())[:_MAX_REASON]
    return reason or ("not accepted" if is_error else "")
