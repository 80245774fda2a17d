"""The page on the catalog is what the catalog says."""

from __future__ import annotations

from scripts.catalog_doc import PAGE, page

from foundrylocal.catalog.registry import Registry


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python -m scripts.catalog_doc"


def test_every_model_has_a_row() -> None:
    text = page()
    assert [
        model.simple_name for model in Registry.load().all() if f"| `{model.simple_name}` |" not in text
    ] == []
