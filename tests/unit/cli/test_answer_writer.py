"""Answers at a terminal are broken between words; in a file they are as they came."""

from __future__ import annotations

import io

import pytest

from foundrylocal.cli.answer_writer import answer_writer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(text: str) -> list[str]:
    """The lines that a terminal shows: a backspace goes back, and a space erases."""
    lines, at = [""], 0
    for one in text:
        if one == "\n":
            lines, at = [*lines, ""], 0
        elif one == "\b":
            at -= 1
        else:
            lines[-1] = lines[-1][:at] + one + lines[-1][at + 1 :]
            at += 1
    return [line.rstrip() for line in lines]


def written(pieces: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "20")
    out = Terminal()
    write = answer_writer(out)
    for piece in pieces:
        write(piece)
    return out.getvalue()


TEXT = "The quick brown fox jumps over\nthe lazy dog, again and again."


@pytest.mark.parametrize("pieces", [[TEXT], list(TEXT), [TEXT[:17], TEXT[17:40], TEXT[40:]]])
def test_no_word_crosses_the_edge_however_it_comes(
    pieces: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(written(pieces, monkeypatch))
    assert lines == ["The quick brown fox", "jumps over", "the lazy dog, again", "and again."]


def test_a_word_longer_than_a_line_is_left_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert written(["x" * 30], monkeypatch) == "x" * 30


def test_a_script_without_spaces_is_left_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "こんにちは、世界。元気ですか"
    assert written(["a ", *text], monkeypatch) == f"a {text}"


def test_control_characters_are_left_out_and_a_file_gets_the_text_as_it_is() -> None:
    out = io.StringIO()
    answer_writer(out)(f"\x1b[2J{TEXT}")
    assert out.getvalue() == f"[2J{TEXT}"
