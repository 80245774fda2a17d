"""The page of the settings is what the schema says."""

from __future__ import annotations

from scripts.settings_doc import PAGE, render

from foundrylocal.settings.schema import Settings


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == render(), "run python -m scripts.settings_doc"


def test_every_setting_has_help() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
