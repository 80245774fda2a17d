"""The work of a schema that llguidance does not bound itself, counted before the schema gets there.

Patterns that hold at the same time are intersected: each one more doubles the work, and two dozen of them in `allOf`
take all memory. `multipleOf` becomes an automaton with as many states as the number, and several that hold at the
same time one with the product of their states. The patterns of `patternProperties` are compared in pairs.

Invariant: the count is never less than what llguidance joins. It may be more where a schema refers to itself, or to
its parts in another way than by `#/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

from foundrylocal.gateway.dialects.refusals import refuse

MAX_JOINED_PATTERNS = 8
MAX_STATES = 20_000
MAX_PATTERN_PROPERTIES = 64
_JOINED = ("pattern", "format")
_EITHER = ("anyOf", "oneOf")
_NO_LIMITS = frozenset(
    {"title", "description", "default", "examples", "$comment", "$schema", "$id", "$defs", "definitions"}
)
_LARK_OPERATORS = ("&", "~")
_LARK_SCHEMA = re.compile(r"%json\s*+")
_json = json.JSONDecoder()
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """How many patterns hold at the same time, and how many states the numbers that do need."""

    patterns: int = 0
    states: int = 1

    def beside(self, other: Work) -> Work:
        """Both hold."""
        return Work(self.patterns + other.patterns, min(self.states * other.states, MAX_STATES + 1))

    def either(self, other: Work) -> Work:
        """One of them holds."""
        return Work(max(self.patterns, other.patterns), max(self.states, other.states))


def check_work(schema: Json, place: str) -> int:
    """The states of all numbers of a schema, for its budget. Raises InvalidRequest for more work than is accepted."""
    try:
        found = _Counter(schema).of_root()
    except RecursionError:
        refuse(place, "has a chain of references that is too long")
    if found.patterns > MAX_JOINED_PATTERNS:
        refuse(
            place,
            f"combines more than {MAX_JOINED_PATTERNS} 'pattern' and 'format' keywords on one value: merge them",
        )
    if found.states > MAX_STATES:
        refuse(
            place,
            f"has a 'multipleOf' that is too large to enforce (at most {MAX_STATES}): use a smaller one",
        )
    every = [node for node in _nodes(schema) if isinstance(node, dict)]
    if any(len(_mapping(node, "patternProperties")) > MAX_PATTERN_PROPERTIES for node in every):
        refuse(place, f"has more than {MAX_PATTERN_PROPERTIES} 'patternProperties'")
    return sum(_states(node) for node in every if "multipleOf" in node)


def check_lark(text: str, place: str) -> None:
    """Count the same in a grammar in Lark: its operators, and the schemas in it. Raises InvalidRequest."""
    # All of them, also those in texts: that is never too few, and a grammar needs few of either.
    if sum(map(text.count, _LARK_OPERATORS)) > MAX_JOINED_PATTERNS:
        refuse(
            place,
            f"contains more than {MAX_JOINED_PATTERNS} of '&' and '~': in texts, write '\\x26' and '\\x7e'",
        )
    for found in _LARK_SCHEMA.finditer(text):
        try:
            schema, _ = _json.raw_decode(text, found.end())
        except (ValueError, RecursionError):
            refuse(place, "has a %json that is not followed by a JSON schema")
        if isinstance(schema, dict):
            check_work(schema, place)


class _Counter:
    """Counts along the references of one schema, each target once."""

    def __init__(self, root: Json) -> None:
        self._root = root
        self._targets: dict[str, Work | None] = {}
        # Whether a reference leads back to itself, or to where only llguidance finds it.
        self._is_unclear = any(
            isinstance(node, dict) and isinstance(node.get("$id"), str) for node in _nodes([*root.values()])
        )

    def of_root(self) -> Work:
        found = self._of(self._root)
        joins = any(isinstance(node, dict) and _joins_others(node) for node in _nodes(self._root))
        return self._of_all() if self._is_unclear and joins else found

    def _of(self, node: object) -> Work:
        if not isinstance(node, dict):
            return Work()
        found = reduce(Work.either, map(self._of, _children(node)), _own(node))
        for value in _mapping(node, "patternProperties").values():
            found = found.beside(self._of(value))
        for branch in _listed(node, "allOf"):
            found = found.beside(self._of(branch))
        for name in _EITHER:
            found = found.beside(reduce(Work.either, map(self._of, _listed(node, name)), Work()))
        reference = node.get("$ref")
        return found.beside(self._of_target(reference)) if isinstance(reference, str) else found

    def _of_target(self, reference: str) -> Work:
        if reference in self._targets:
            known = self._targets[reference]
            self._is_unclear = self._is_unclear or known is None
            return known or Work()
        self._targets[reference] = None
        target = _target(reference, self._root)
        self._is_unclear = self._is_unclear or target is None
        found = self._of(target)
        self._targets[reference] = found
        return found

    def _of_all(self) -> Work:
        """Where references are unclear and parts are joined, any part may meet any other one."""
        nodes = [node for node in _nodes(self._root) if isinstance(node, dict)]
        patterns = {(name, str(node[name])) for node in nodes for name in _JOINED if name in node}
        states = {_states(node) for node in nodes}
        return reduce(Work.beside, (Work(0, one) for one in states), Work(len(patterns)))


def _own(node: Json) -> Work:
    return Work(sum(1 for name in _JOINED if name in node), _states(node))


def _states(node: Json) -> int:
    """The states that a number's `multipleOf` needs: its digits as a whole number."""
    value = node.get("multipleOf")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 1
    _sign, digits, exponent = Decimal(str(value)).as_tuple()
    if not isinstance(exponent, int) or exponent > 18:
        return MAX_STATES + 1
    whole: int = int("".join(map(str, digits))) * 10 ** max(exponent, 0)
    return max(1, min(whole, MAX_STATES + 1))


def _joins_others(node: Json) -> bool:
    """Whether a node puts other schemas together, with one another or with its own keywords."""
    limits = node.keys() - _NO_LIMITS
    return "allOf" in limits or (len(limits) > 1 and not limits.isdisjoint(("$ref", *_EITHER)))


def _children(node: Json) -> Iterator[object]:
    """The schemas of other values than the node's own."""
    yield from _mapping(node, "properties").values()
    yield from _listed(node, "prefixItems")
    for name in ("items", "additionalProperties"):
        value = node.get(name)
        yield from value if isinstance(value, list) else (value,)


def _nodes(value: object) -> Iterator[object]:
    """Everything in a schema, wherever it stands."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _mapping(node: Json, name: str) -> Json:
    value = node.get(name)
    return value if isinstance(value, dict) else {}


def _listed(node: Json, name: str) -> Iterable[object]:
    value = node.get(name)
    return value if isinstance(value, list) else ()


def _target(reference: str, root: Json) -> object:
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return None
    node: object = root
    for part in reference.removeprefix("#/").split("/"):
        node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return node
