"""The grammar that the engine makes of a JSON schema, as far as it matters to where the schema recurs.

Invariant: what recurs stands in it as in the engine's own (properties in their order, first those required). Of what
does not, white space is left out, and a string or number with conditions of its own is the same as itself only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from foundrylocal.gateway.limits.grammar_tree import Choice, Node, Read, Repeat

MAX_CHARACTERS = 200_000
_MAX_COUNT = 8  # of more items than these, any number counts
_MAX_KEY = 64
Json = dict[str, Any]
_Way = list[Node]


def _read(text: str) -> Read:
    return Read('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')


def _some(letters: str, least: int = 0) -> Repeat:
    return Repeat(Read(letters), least, None)


_CHARACTER = Choice([[Read(r'[^"\\\x7F\x00-\x1F]')], [_read("\\"), Read(".")]])
_DIGITS: _Way = [Choice([[_read("-")], []]), _some("[0-9]", 1)]
_FRACTION: _Way = [
    Choice([[_read("."), _some("[0-9]", 1)], []]),
    Choice([[Read("[eE]"), _some("[-+0-9]", 1)], []]),
]
_TYPES: dict[str, list[_Way]] = {
    "string": [[_read('"'), Repeat(_CHARACTER, 0, None), _read('"')]],
    "integer": [[*_DIGITS]],
    "number": [[*_DIGITS, *_FRACTION]],
    "boolean": [[_read("true")], [_read("false")]],
    "null": [[_read("null")]],
}
# What is inside of them comes back to no part of the schema.
_ANY_OBJECT: list[_Way] = [[_read("{"), _read("}")]]
_ANY = [way for name in ("string", "number", "boolean", "null") for way in _TYPES[name]]
_ANY += [[_read("["), _read("]")], *_ANY_OBJECT]
_CONDITIONS = {
    "string": ("pattern", "format"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}


class SchemaTooLong(Exception):
    """More characters than are looked through."""


def grammar_of(root: Json, target: Callable[[Json], object]) -> dict[str, Choice]:
    """One rule for each part of the schema, by its place; `target` says what the reference of a part leads to."""
    return _Grammar(root, target).rules()


class _Grammar:
    def __init__(self, root: Json, target: Callable[[Json], object]) -> None:
        self._target = target
        self._rules: dict[str, Choice] = {}
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()
        self._later: list[tuple[str, Json]] = []
        self._left = MAX_CHARACTERS
        self._rule(root, "#")

    def rules(self) -> dict[str, Choice]:
        while self._later:
            name, node = self._later.pop()
            self._rules[name] = Choice(self._ways(node, name))
        return self._rules

    def _rule(self, node: object, place: str) -> Node:
        """The name of the rule of a part, which is made later: parts may be nested deeply, and in circles."""
        if not isinstance(node, dict):
            return Choice(_ANY)
        if "$ref" in node:
            return self._rule(self._target(node), "#/" + str(node["$ref"]).lstrip("#/"))
        if id(node) not in self._names:
            if place in self._taken:
                place += f" {len(self._names)}"
            self._taken.add(place)
            self._names[id(node)] = place
            self._later.append((place, node))
        return self._names[id(node)]

    def _ways(self, node: Json, place: str) -> list[_Way]:
        for key in ("oneOf", "anyOf"):
            if isinstance(node.get(key), list):
                return [[self._rule(way, f"{place}/{key}/{n}")] for n, way in enumerate(node[key])]
        kind = node.get("type")
        if isinstance(kind, list):
            return [way for one in kind for way in self._ways_of_type(node, str(one), place)]
        return self._ways_of_type(node, str(kind or ""), place)

    def _ways_of_type(self, node: Json, kind: str, place: str) -> list[_Way]:
        """What decides, in the engine's own order."""
        if "const" in node or isinstance(node.get("enum"), list):
            values = [node["const"]] if "const" in node else node["enum"]
            return [
                [self._text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))] for value in values
            ]
        has_properties = "properties" in node or node.get("additionalProperties", True) is not True
        if kind in ("", "object") and has_properties:
            return self._object(_properties(node), node, place)
        if kind in ("", "object", "string") and isinstance(node.get("allOf"), list):
            return self._all_of(node["allOf"], place)
        if kind == "array" or (not kind and ("items" in node or "prefixItems" in node)):
            return self._array(node, place)
        if kind == "object":
            return _ANY_OBJECT
        conditions = {name: node[name] for name in _CONDITIONS.get(kind or "string", ()) if name in node}
        if conditions:
            return [[Read(f"<{json.dumps([kind, conditions], sort_keys=True)}>")]]
        return _TYPES.get(kind, _ANY)

    def _text(self, text: str) -> Read:
        self._left -= len(text) + 1
        if self._left < 0:
            raise SchemaTooLong
        return _read(text)

    def _all_of(self, parts: list[object], place: str) -> list[_Way]:
        """All properties of all parts; those of alternatives among them may be left out."""
        properties: dict[str, object] = {}
        required: set[str] = set()
        for part in parts:
            ways = part.get("anyOf", part.get("oneOf")) if isinstance(part, dict) else None
            for one in ways if isinstance(ways, list) else [part]:
                found = _properties(self._resolved(one))
                properties |= found
                required |= set() if isinstance(ways, list) else found.keys()
        return self._object(properties, {"required": list(required)}, place)

    def _resolved(self, node: object) -> Json:
        while isinstance(node, dict) and "$ref" in node:
            node = self._target(node)
        return node if isinstance(node, dict) else {}

    def _object(self, properties: dict[str, object], node: Json, place: str) -> list[_Way]:
        named = node.get("required")
        required = set(map(str, named)) if isinstance(named, list) else set()
        pairs = {
            name: [
                self._text(json.dumps(name, ensure_ascii=False) + ":"),
                self._rule(value, f"{place}/{name}"),
            ]
            for name, value in properties.items()
        }
        optional = [(pair, False) for name, pair in pairs.items() if name not in required]
        extra = node.get("additionalProperties", False)
        if extra is not False:
            pair = [self._other_key(list(properties)), _read(":"), self._rule(extra, f"{place}/*")]
            optional.append((pair, True))
        needed = [pair for name, pair in pairs.items() if name in required]
        way: _Way = [part for pair in needed for part in (_read(","), *pair)][1:]
        if optional:
            choice = _in_order(optional)
            way.append(Repeat(Choice([[_read(","), choice]]) if needed else choice, 0, 1))
        return [[_read("{"), *way, _read("}")]]

    def _other_key(self, names: Iterable[str]) -> Node:
        """A key that is none of these, nor begins one of them: so the engine does it."""
        after: dict[str, set[str]] = {"": set()}
        for name in names:
            for at, letter in enumerate(name[:_MAX_KEY]):
                after.setdefault(name[:at], set()).add(letter)
                after.setdefault(name[: at + 1], set())
        ways: list[_Way] = []
        for begin, letters in after.items():
            more = Repeat(_CHARACTER, 0 if letters or not begin else 1, None)
            others = "".join(f"\\U{ord(letter):08X}" for letter in sorted(letters))
            first: _Way = [Read(f'[^"{others}]')] if letters else []
            ways.append([self._text('"' + begin), *first, more, _read('"')])
        return Choice(ways)

    def _array(self, node: Json, place: str) -> list[_Way]:
        items = node.get("items", node.get("prefixItems"))
        if isinstance(items, list):
            rules = [self._rule(item, f"{place}/{number}") for number, item in enumerate(items)]
            return [[_read("["), *[part for rule in rules for part in (_read(","), rule)][1:], _read("]")]]
        least, most = int(node.get("minItems", 0)), node.get("maxItems")
        if most == 0:
            return [[_read("["), _read("]")]]
        rule = self._rule(items, f"{place}/items")
        upto = int(most) - 1 if most is not None and most <= _MAX_COUNT else None
        more = Repeat(Choice([[_read(","), rule]]), min(max(least - 1, 0), _MAX_COUNT - 1), upto)
        return [[_read("["), Repeat(Choice([[rule, more]]), min(least, 1), 1), _read("]")]]


def _properties(node: Json) -> dict[str, object]:
    found = node.get("properties")
    return found if isinstance(found, dict) else {}


def _in_order(optional: list[tuple[_Way, bool]]) -> Choice:
    """Any of these first, then any of those behind it; the last may come again and again."""
    firsts: list[_Way] = []
    rest: _Way = []
    for way, is_many in reversed(optional):
        again = Repeat(Choice([[_read(","), *way]]), 0, None if is_many else 1)
        firsts.append([*way, *([again] if is_many else []), *rest])
        rest = [Choice([[again, *rest]])]
    return Choice(firsts)
