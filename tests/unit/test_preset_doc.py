"""The reference of presets is what the schema says."""

from __future__ import annotations

from scripts.preset_doc import PAGE, with_table

from foundrylocal.wire.presets import Preset


def test_the_table_is_up_to_date() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_table(page), "run python -m scripts.preset_doc"


def test_every_value_is_in_it() -> None:
    page = PAGE.read_text("utf-8")
    assert [name for name in Preset.model_fields if f"| `{name}` |" not in page] == []
