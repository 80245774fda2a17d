"""The page on the command line is what its help says."""

from __future__ import annotations

from scripts.cli_doc import COLUMNS, PAGE, render


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == render(), "run python -m scripts.cli_doc"


def test_help_fits_a_terminal() -> None:
    blocks = render().split("```text\n")[1:]
    lines = [line for block in blocks for line in block.partition("\n```")[0].splitlines()]
    assert [line for line in lines if len(line) > COLUMNS] == []
