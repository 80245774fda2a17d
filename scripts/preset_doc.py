"""Write the table of docs/how-to/presets.md from the preset's schema; a test fails if it is out of date."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.settings_doc import kind_of

from foundrylocal.server.presets import is_at_once
from foundrylocal.settings.schema import Settings
from foundrylocal.wire.load_options import ModelOptions, Residency
from foundrylocal.wire.presets import RequestDefaults

PAGE = Path(__file__).resolve().parent.parent / "docs" / "how-to" / "presets.md"
BEGIN, END = "<!-- table: python -m scripts.preset_doc -->\n", "<!-- end of the table -->\n"
_HEAD = "| name | type | what it is | also a setting | holds |\n| --- | --- | --- | --- | --- |\n"


def render() -> str:
    """The table."""
    rows = []
    for declared in (ModelOptions, Residency, RequestDefaults):
        schema = declared.model_json_schema()
        for name, described in schema["properties"].items():
            kind = kind_of(described).removesuffix(" or null")
            setting = "yes" if name in Settings.model_fields else ""
            holds = "at once" if is_at_once(name) else "next load"
            rows.append(f"| `{name}` | {kind} | {described['description']} | {setting} | {holds} |\n")
    return _HEAD + "".join(rows)


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + render() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
    sys.exit(0)
