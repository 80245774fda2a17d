"""What the command line draws."""

from __future__ import annotations

import sys

import pytest
from rich.text import Text

from foundrylocal.cli.render import _bar, say, say_verbatim

MB = 1024 * 1024


def test_a_bar_has_the_units_of_every_other_figure() -> None:
    bar = _bar(has_bytes=True)
    bar.add_task("Downloading", total=100 * MB, completed=50 * MB)
    shown = [column.render(bar.tasks[0]) for column in bar.columns if not isinstance(column, str)]
    assert "50.0 MB / 100.0 MB" in [text.plain for text in shown if isinstance(text, Text)]


LONG = "No model is downloaded. Next: foundrylocal pull MODEL"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_prose_is_broken_between_words_at_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    say(f"  short  line\n{LONG}")
    broken = "No model is downloaded. Next:\nfoundrylocal pull MODEL"
    assert capsys.readouterr().out == f"  short  line\n{broken if is_terminal else LONG}\n"
    say_verbatim(LONG)
    assert capsys.readouterr().out == f"{LONG}\n"
