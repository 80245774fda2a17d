"""What the command line draws."""

from __future__ import annotations

from rich.text import Text

from foundrylocal.cli.render import _bar

MB = 1024 * 1024


def test_a_bar_has_the_units_of_every_other_figure() -> None:
    bar = _bar(has_bytes=True)
    bar.add_task("Downloading", total=100 * MB, completed=50 * MB)
    shown = [column.render(bar.tasks[0]) for column in bar.columns if not isinstance(column, str)]
    assert "50.0 MB / 100.0 MB" in [text.plain for text in shown if isinstance(text, Text)]
