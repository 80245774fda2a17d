"""The page on the Python client is what the client says of itself."""

from __future__ import annotations

from scripts.client_doc import PAGE, render


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == render(), "run python -m scripts.client_doc"
