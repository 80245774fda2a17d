"""The page on the management API is what the OpenAPI document says."""

from __future__ import annotations

from scripts.api_doc import BASE, PAGE, document, render


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == render(), "run python -m scripts.api_doc"


def test_every_endpoint_is_in_it() -> None:
    page = PAGE.read_text("utf-8")
    assert [path for path in document()["paths"] if f"`{path.removeprefix(BASE)}`" not in page] == []
