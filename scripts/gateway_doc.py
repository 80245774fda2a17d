"""Write the tables of docs/reference/gateway-api.md from the gateway's routes and the shapes of their bodies.

The text around the tables, with what differs from each publisher, is written by hand. A test fails if the page is out
of date.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec
from scripts.settings_doc import kind_of

from foundrylocal.gateway.dialects.responses.store import ResponseStore
from foundrylocal.gateway.dialects.sampling import Sampling
from foundrylocal.gateway.routes import Route, build_routes

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "gateway-api.md"
END = "<!-- end of the table -->\n"
_NO_LIMIT = 2**31 - 1
# In every body, and explained once in the page.
_EVERYWHERE = ("model", "user")
# Not fields of a request: the gateway sets them.
_OWN = ("unsupported_tools", "owner")


def begin(name: str) -> str:
    return f"<!-- table {name}: python -m scripts.gateway_doc -->\n"


def routes() -> list[Route]:
    return list(build_routes(ResponseStore(lambda: 0)).values())


def _endpoint_rows() -> Iterator[str]:
    yield "| path | needs a model that can | body |\n| --- | --- | --- |\n"
    for route in routes():
        yield f"| `POST {route.path}` | {route.ability.value} | [fields](#{_anchor(route.path)}) |\n"


def _anchor(path: str) -> str:
    """The anchor that GitHub gives to the heading of a path."""
    return "post-" + "".join(one for one in path.lower() if one.isalnum() or one in "-_")


def _kind(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """The type of a field; null counts as absent everywhere and is left out."""
    if "$ref" in schema:
        return "object"
    if set(schema) <= {"default"}:
        return "refused"  # declared only to be refused by its name
    if "anyOf" in schema:
        kinds = [_kind(one, schemas) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"] if one not in (None, ""))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), schemas)}"
    if schema.get("maximum") == _NO_LIMIT:
        return f"{schema['type']}, {schema['minimum']} or more"
    return kind_of(schema)


def _field_rows(shape: type[Any], left_out: Collection[str] = ()) -> Iterator[str]:
    (reference,), schemas = msgspec.json.schema_components([shape])
    body = schemas[reference["$ref"].rpartition("/")[2]]
    rows = [
        f"| `{name}` | {_kind(schema, schemas)} | {'yes' if name in body.get('required', ()) else ''} |\n"
        for name, schema in body["properties"].items()
        if name not in left_out and name not in _OWN
    ]
    yield "| field | type | required |\n| --- | --- | --- |\n"
    yield from rows


def _bodies() -> Iterator[str]:
    sampling = [name for name in Sampling.__struct_fields__ if name != "stream"]
    for route in routes():
        shape = route.dialect.shape
        yield f"\n### POST {route.path}\n\n"
        if issubclass(shape, Sampling):
            yield "These, and the [sampling fields](#sampling-fields):\n\n"
            yield from _field_rows(shape, (*_EVERYWHERE, *sampling))
        else:
            yield from _field_rows(shape, _EVERYWHERE)


def tables() -> dict[str, str]:
    """Each table by its name in the page."""
    sampling = "".join(_field_rows(Sampling, (*_EVERYWHERE, "stream")))
    return {"endpoints": "".join(_endpoint_rows()), "sampling": sampling, "bodies": "".join(_bodies())}


def with_tables(page: str) -> str:
    """The page with the tables as they are now."""
    for name, table in tables().items():
        before, mark, rest = page.partition(begin(name))
        assert mark, f"the page has no place for the table {name}"
        page = before + mark + table + END + rest.partition(END)[2]
    return page


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text("utf-8")), "utf-8")
    sys.exit(0)
