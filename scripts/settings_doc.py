"""Write docs/settings.md from the settings' own schema; a test fails when the page is not what this writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from foundrylocal.settings.schema import FILE_ONLY_SETTINGS, SECRET_SETTINGS, Settings
from foundrylocal.wire.load_options import LoadSettings

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
_LOAD_OPTIONS = ", ".join(f"`{name}`" for name in LoadSettings.model_fields)
_HEAD = f"""# Settings

Made by `python -m scripts.settings_doc` from the schema in `src/foundrylocal/settings/schema.py`; change that.

A setting is looked for on the command line, then in the environment (`FOUNDRYLOCAL_` and its name in capitals),
then in the saved configuration, then its default holds. `POST /config` saves any of them, but for those marked
*environment only*: what program is run is no business of a call. `port`, `api_host`, `api_port` and `gateway_host`
are read when something is bound, so a change holds from the next start on; what a model is loaded with
({_LOAD_OPTIONS}) from its next load on; all others hold at once.

In the environment a list is written `a, b`, and aliases `name=model, name=model`.

| setting | type | default | what it is |
| --- | --- | --- | --- |
"""
_DEFAULTS_OF_A_MACHINE = {"cache_dir": "`~/.cache/foundrylocal`"}


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    low, high = schema.get("minimum"), schema.get("maximum")
    return f"{kind}, {low} to {high}" if low is not None and high is not None else kind


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if name in _DEFAULTS_OF_A_MACHINE:
        return _DEFAULTS_OF_A_MACHINE[name]
    value = (
        field.default
        if field.default is not PydanticUndefined
        else field.get_default(call_default_factory=True)
    )
    return f"`{json.dumps(value)}`"


def render() -> str:
    """The page."""
    rows = []
    for name, schema in Settings.model_json_schema()["properties"].items():
        text = schema.get("description", "")
        if name in FILE_ONLY_SETTINGS:
            text += " *Environment only.*"
        if name in SECRET_SETTINGS:
            text += " Never shown again."
        rows.append(f"| `{name}` | {_kind(schema)} | {_default(name)} | {text} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
    sys.exit(0)
