"""JSON schemas, looked through before the engine makes grammars of them: it recurses without a bound of its own.

Invariant: a schema that passes refers to nothing but itself, never to itself without a level of JSON between, and
has bounded counts, patterns, and numbers of alternatives. Where it recurs `ambiguity` has found nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.limits.ambiguity import check_ambiguity
from foundrylocal.gateway.limits.grammar import check_pattern
from foundrylocal.gateway.limits.grammar_tree import GrammarTooMuch
from foundrylocal.gateway.limits.schema_grammar import SchemaTooLong, grammar_of

MAX_SCHEMAS = 4096
MAX_ALTERNATIVES = 1000
MAX_OPTIONAL = 500
MAX_COUNT = 2**31 - 1
# Fewer than for a grammar, since a request may bring many tools.
MAX_STEPS = 20_000
# More the engine does not write out, and it says so in words that name no field.
MAX_MINIMUM = 2000
# The published bound of OpenAI's: of more values than these, all characters together count.
_MANY_VALUES, _MAX_OF_MANY = 250, 15_000
_COUNTS = (("minItems", "maxItems"), ("minLength", "maxLength"))
_MAX_SHOWN = 200
Json = dict[str, Any]


def check_schema(schema: Json, param: str) -> None:
    """Refuse what would take the engine down or keep it busy; raises InvalidRequest that names the place."""
    try:
        _Walk(schema, param).check()
    except RecursionError:
        refuse(param, "has too many references that lead from one to the next")


class _Walk:
    """One schema; each part of it is looked at once, however many references lead there."""

    def __init__(self, root: Json, param: str) -> None:
        self._root = root
        self._param = param
        self._later: list[tuple[Json, str]] = []
        self._alternatives: dict[int, int | None] = {}
        self._optional: dict[int, int] = {}
        self._may_recur = False

    def check(self) -> None:
        self._alternatives_of(self._root, self._param)
        # What stands a level of JSON deeper may refer to what is around it, so it comes after that is done.
        while self._later:
            node, place = self._later.pop()
            if self._optional_of(node) > MAX_OPTIONAL:
                refuse(place, f"has more than {MAX_OPTIONAL} optional properties")
            for child, name in _inner(node):
                self._alternatives_of(child, f"{place}.{name}")
        if self._may_recur:
            self._check_ambiguity()

    def _check_ambiguity(self) -> None:
        try:
            rules = grammar_of(self._root, lambda node: self._target(node, self._param))
            # The rule that all begins with comes first among them.
            check_ambiguity(rules, next(iter(rules)), MAX_STEPS)
        except GrammarTooMuch as error:
            refuse(self._param, str(error))
        except SchemaTooLong:
            return  # a schema that is only long is taken

    def _alternatives_of(self, node: object, place: str) -> int:
        """How many there are to begin with; all that can be said of the node alone is checked on the way."""
        if not isinstance(node, dict):
            return 1
        if id(node) in self._alternatives:
            known = self._alternatives[id(node)]
            if known is None:
                refuse(place, "refers to itself with nothing between")
            return known
        self._alternatives[id(node)] = None  # under way
        if len(self._alternatives) > MAX_SCHEMAS:
            refuse(self._param, f"holds more than {MAX_SCHEMAS} schemas")
        _check_counts(node, place)
        _check_values(node, place)
        _check_pattern(node, place)
        found = max(1, *(len(node[name]) for name in ("enum", "type") if isinstance(node.get(name), list)), 0)
        if "$ref" in node:
            self._may_recur = True
            target = self._target(node, place)
            found = max(found, self._alternatives_of(target, self._place_of(node["$ref"])))
        for name in ("anyOf", "oneOf", "allOf"):
            counts = [
                self._alternatives_of(way, f"{place}.{name}[{n}]") for n, way in enumerate(_list(node, name))
            ]
            found = max(found, sum(counts))
        if found > MAX_ALTERNATIVES:
            refuse(place, f"has more than {MAX_ALTERNATIVES} alternatives")
        self._alternatives[id(node)] = found
        self._later.append((node, place))
        return found

    def _optional_of(self, node: object) -> int:
        """How many properties may be left out, those of all parts of an allOf together as the engine puts them."""
        if not isinstance(node, dict):
            return 0
        if id(node) not in self._optional:
            properties, required = node.get("properties"), set(map(str, _list(node, "required")))
            own = sum(name not in required for name in properties) if isinstance(properties, dict) else 0
            parts: list[object] = [self._target(node, "")] if "$ref" in node else []
            for part in _list(node, "allOf"):
                parts += [part, *(_list(part, "anyOf") if isinstance(part, dict) else ())]
            self._optional[id(node)] = own + sum(map(self._optional_of, parts))
        return self._optional[id(node)]

    def _place_of(self, reference: str) -> str:
        return ".".join((self._param, *reference.split("/")[1:]))[:_MAX_SHOWN]

    def _target(self, node: Json, place: str) -> object:
        """What a reference leads to; the engine reads its parts as they stand, with no escapes."""
        reference = node["$ref"]
        if not isinstance(reference, str) or not (reference + "/").startswith("#/"):
            refuse(f"{place}.$ref", "must begin with '#': only the schema itself can be referred to")
        found: object = self._root
        for part in reference.split("/")[1:]:
            if isinstance(found, list) and part.isascii() and part.isdigit() and len(part) < 6:
                found = found[int(part)] if int(part) < len(found) else None
            else:
                found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            refuse(f"{place}.$ref", "refers to a schema that is not there")
        return found


def _inner(node: Json) -> Iterator[tuple[object, str]]:
    properties = node.get("properties")
    if isinstance(properties, dict):
        yield from ((value, f"properties.{name[:80]}") for name, value in properties.items())
    for name in ("items", "prefixItems"):
        yield from ((value, f"{name}[{number}]") for number, value in enumerate(_list(node, name)))
    yield from ((node.get(name), name) for name in ("items", "additionalProperties"))


def _check_counts(node: Json, place: str) -> None:
    """A least that is above its most is what the engine never comes to an end with."""
    for pair in _COUNTS:
        for name, limit in zip(pair, (MAX_MINIMUM, MAX_COUNT), strict=True):
            value = node.get(name, 0)
            if (
                isinstance(value, float) and value.is_integer()
            ):  # whole all the same, and the engine wants it so
                value = node[name] = int(value)
            if not isinstance(value, int) or not 0 <= value <= limit:
                refuse(f"{place}.{name}", f"must be a whole number from 0 to {limit}")
        least, most = pair
        if most in node and node[most] < node.get(least, 0):
            refuse(f"{place}.{most}", f"must not be less than '{least}'")


def _check_values(node: Json, place: str) -> None:
    values = _list(node, "enum")
    if len(values) > _MANY_VALUES and sum(len(str(value)) for value in values) > _MAX_OF_MANY:
        refuse(
            f"{place}.enum", f"of more than {_MANY_VALUES} values must not exceed {_MAX_OF_MANY} characters"
        )


def _check_pattern(node: Json, place: str) -> None:
    pattern = node.get("pattern")
    if isinstance(pattern, str):
        try:
            check_pattern(pattern)
        except GrammarTooMuch as error:
            refuse(f"{place}.pattern", str(error))


def _list(node: Json, name: str) -> list[object]:
    value = node.get(name)
    return value if isinstance(value, list) else []
