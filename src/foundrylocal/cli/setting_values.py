"""Settings on the command line: how each is written and read, by its declaration in the schema.

Lists are `a,b` and mappings `name=value,name=value`, as in environment variables; JSON is taken too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from foundrylocal.cli.failure import Failure
from foundrylocal.settings.schema import FILE_ONLY_SETTINGS, Settings

_EXAMPLES = {
    "port": "1235",
    "api_port": "9501",
    "cache_dir": "/data/models",
    "model_folders": "/data/gguf,/mnt/gguf",
    "aliases": "small=SmolLM2-135M-Instruct-Q4_1-GGUF",
    "allowed_hosts": "box.local",
    "allowed_origins": "https://app.example",
    "api_host": "192.168.1.5",
    "gateway_host": "192.168.1.5",
    "management_key": "a-key-of-16-characters",
    "restart_delays_seconds": "1,5,15",
    "load_at_start": "SmolLM2-135M-Instruct-Q4_1-GGUF",
}


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = Settings.model_json_schema()["properties"][name]
    return schema


def _kinds(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return list(schema.get("anyOf", [schema]))


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """The changes that `KEY=VALUE` words ask for. Raises Failure that says how it is written."""
    return dict(_parse(pair) for pair in pairs)


def _parse(pair: str) -> tuple[str, Any]:
    name, mark, text = pair.partition("=")
    if name not in Settings.model_fields:
        raise unknown_setting(name)
    if not mark:
        raise Failure(
            f"'{pair}' has no value", form_of(name), f"foundrylocal config {example_of(name)}", exit_code=2
        )
    return name, _value(_schema(name), text)


def _value(schema: dict[str, Any], text: str) -> Any:
    """The text as the kind of value that the setting has; what is none of it is sent as it is, and refused."""
    kinds = _kinds(schema)
    types = {kind.get("type") for kind in kinds}
    if text == "null" and "null" in types:
        return None
    is_mapping = "object" in types and ("=" in text or types == {"object"})
    if text.lstrip().startswith(("[", "{")) or not (is_mapping or "array" in types):
        return text if types <= {"string", "null"} else _json_or_text(text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if is_mapping:
        return {key: _item(kinds, "object", value) for key, value in map(_named, parts)}
    return [_item(kinds, "array", part) for part in parts]


def _item(kinds: list[dict[str, Any]], kind: str, text: str) -> Any:
    """One value of a list or a mapping."""
    schema = next(one for one in kinds if one.get("type") == kind)
    inner = schema.get("items") or schema.get("additionalProperties") or {}
    return text if inner.get("type") == "string" else _json_or_text(text)


def _named(part: str) -> tuple[str, str]:
    name, mark, value = part.partition("=")
    if not mark:
        raise Failure(
            f"'{part}' has no value",
            "Pairs are written name=value,name=value.",
            f"foundrylocal config {example_of('aliases')}",
            exit_code=2,
        )
    return name, value


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def written_setting(value: object) -> str:
    """A value as the command line takes it."""
    if isinstance(value, list) and all(
        isinstance(one, (str, int, float)) and "," not in str(one) for one in value
    ):
        return ",".join(map(str, value))
    if isinstance(value, dict) and all(
        isinstance(one, (str, int)) and "," not in f"{key}{one}" for key, one in value.items()
    ):
        return ",".join(f"{key}={one}" for key, one in value.items())
    return value if isinstance(value, str) else json.dumps(value)


def unknown_setting(name: str) -> Failure:
    """There is none of that name; the nearest ones."""
    nearest = get_close_matches(name.lower().replace("-", "_"), Settings.model_fields, n=3, cutoff=0.5)
    why = f"Did you mean {' or '.join(nearest)}?" if nearest else None
    return Failure(
        f"There is no setting '{name}'", why, "foundrylocal config lists all settings", exit_code=2
    )


def form_of(name: str) -> str:
    """How the setting is written, in one sentence."""
    if name in FILE_ONLY_SETTINGS:
        return f"{name} is set in the environment of the service: FOUNDRYLOCAL_{name.upper()}."
    return f"{name} is written as {' or '.join(_form(kind) for kind in _kinds(_schema(name)))}."


def example_of(name: str) -> str:
    """`name=value` with a value that is allowed."""
    kinds = _kinds(_schema(name))
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    known = next((kind["enum"][-1] for kind in kinds if "enum" in kind), None)
    least = next((str(kind["minimum"]) for kind in kinds if "minimum" in kind), None)
    value = (
        _EXAMPLES.get(name)
        or known
        or (written_setting(default) if default is not None else least)
        or "VALUE"
    )
    return f"{name}={value}"


def _form(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type")
    low, high = schema.get("minimum"), schema.get("maximum")
    bounds = f" from {low} to {high}" if low is not None and high is not None else ""
    forms = {
        "integer": f"a whole number{bounds}",
        "number": f"a number{bounds}",
        "boolean": "true or false",
        "array": "a list a,b",
        "object": "pairs name=value,name=value",
        "null": "null",
    }
    return forms.get(str(kind), "text")
