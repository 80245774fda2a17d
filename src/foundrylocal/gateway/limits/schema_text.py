"""A JSON schema as llguidance gets it, within one budget for all schemas of a request.

Invariant: a budget is never exceeded, however many schemas a request brings. The size of a schema
is what its compilation costs; what else costs without bound is counted in `schema_work`, and llguidance bounds the
rest itself (docs/decisions/0021-llguidance.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.limits.schema_work import check_work

MAX_SCHEMA_BYTES = 131_072
# The compilation of an object's optional properties takes time that grows with the square of their number.
MAX_PROPERTIES = 1000
# One form of white space: left free, a small model writes line breaks to the end of its tokens. (The engine's copy of
# llguidance does not bound a `whitespace_pattern`, the package does.)
_OPTIONS = {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", "}
_OPTIONS_KEY = "x-guidance"
# The package knows it, the engine's older copy of llguidance does not.
_FORMATS_OF_THE_PACKAGE_ONLY = frozenset({"uri"})
_BRANCHES = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAX_HOPS = 16
Json = dict[str, Any]


class SchemaBudget:
    """How many bytes of schemas one request may still bring."""

    def __init__(self, limit_bytes: int = MAX_SCHEMA_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._left_bytes = limit_bytes

    def spend(self, size_bytes: int, place: str) -> None:
        """Raises InvalidRequest that names the schema with which the budget ends."""
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            refuse(
                place,
                f"makes the schemas of this request larger than {self._limit_bytes // 1024} KB together",
            )


def schema_text(schema: Json | bool, place: str, budget: SchemaBudget) -> str:
    """The schema for a `%json` rule. Raises InvalidRequest that names the place."""
    if isinstance(schema, dict):
        budget.spend(len(msgspec.json.encode(schema)) + check_work(schema, place), place)
        schema = _prepared(schema, schema, place)
        schema[_OPTIONS_KEY] = _OPTIONS
    return msgspec.json.encode(schema).decode()


def _prepared(node: Json, root: Json, place: str) -> Json:
    """A copy: without options of llguidance's own, `oneOf` as `anyOf` where it makes no difference."""
    properties = node.get("properties")
    if isinstance(properties, dict) and len(properties) > MAX_PROPERTIES:
        refuse(f"{place}.properties", f"has more than {MAX_PROPERTIES} properties")
    if node.get("format") in _FORMATS_OF_THE_PACKAGE_ONLY:
        refuse(f"{place}.format", f"cannot be enforced: Unknown format: {node['format']}")
    copy: Json = {name: _prepared_value(name, value, root, place) for name, value in node.items()}
    copy.pop(_OPTIONS_KEY, None)
    branches = node.get("oneOf")
    if isinstance(branches, list) and "anyOf" not in node and _has_tag(branches, root):
        copy["anyOf"] = copy.pop("oneOf")
    return copy


def _prepared_value(name: str, value: object, root: Json, place: str) -> object:
    where = f"{place}.{name}"
    if name in ("properties", "patternProperties", "$defs", "definitions") and isinstance(value, dict):
        return {key: _schema_of(one, root, f"{where}.{key[:80]}") for key, one in value.items()}
    if name in _BRANCHES and isinstance(value, list):
        return [_schema_of(one, root, f"{where}[{number}]") for number, one in enumerate(value)]
    if name in ("items", "additionalProperties"):
        if isinstance(value, list):  # the older spelling of prefixItems
            return [_schema_of(one, root, f"{where}[{number}]") for number, one in enumerate(value)]
        return _schema_of(value, root, where)
    return value


def _schema_of(value: object, root: Json, place: str) -> object:
    return _prepared(value, root, place) if isinstance(value, dict) else value


# --- unions that are discriminated by a property -----------------------------------------------------------


def _has_tag(branches: list[Any], root: Json) -> bool:
    """Whether each branch is an object that requires one and the same property with values of its own."""
    objects = [_target(branch, root) for branch in branches]
    if not objects or not all(
        isinstance(one, dict) and isinstance(one.get("properties"), dict) for one in objects
    ):
        return False
    first = objects[0].get("required")
    return any(_is_tag(name, objects) for name in (first if isinstance(first, list) else ()))


def _is_tag(name: object, objects: list[Json]) -> bool:
    known: set[str] = set()
    for one in objects:
        required = one.get("required")
        values = list(_values(one["properties"].get(name)))
        if not values or not isinstance(required, list) or name not in required or known & set(values):
            return False
        known.update(values)
    return True


def _values(schema: object) -> Iterator[str]:
    """The texts that a property may be; empty if it may be something else too."""
    if isinstance(schema, dict):
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            yield from values


def _target(node: Any, root: Json) -> Any:
    """What a reference within the schema leads to."""
    for _ in range(_MAX_HOPS):
        reference = node.get("$ref") if isinstance(node, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return node
        node = root
        for part in reference[2:].split("/"):
            node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return None
