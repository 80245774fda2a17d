"""Calls read from the text of an answer, in pieces of any size."""

from __future__ import annotations

import json

import pytest

from foundrylocal.gateway.dialects.constrained.call_reader import ArgumentsText, CallBegins, CallReader, Words

ARGUMENTS = ['{"a": "}\\"{"}', "{}", '{"b": [1, {"c": "\\\\"}]}']
NAMES = ["look", 'a"\\é', "z"]
CALLS = "\n".join(
    f'{{"name":{json.dumps(name, ensure_ascii=False)},"arguments":{arguments}}}'
    for name, arguments in zip(NAMES, ARGUMENTS, strict=True)
)


def read(text: str, size: int, may_be_words: bool) -> tuple[list[tuple[str, str]], str]:
    reader = CallReader(may_be_words)
    calls: list[tuple[str, str]] = []
    words = ""
    pieces = [piece for at in range(0, len(text), size) for piece in reader.feed(text[at : at + size])]
    for piece in (*pieces, *reader.end()):
        match piece:
            case CallBegins(name):
                calls.append((name, ""))
            case ArgumentsText(more):
                calls[-1] = (calls[-1][0], calls[-1][1] + more)
            case Words(more):
                words += more
    return calls, words


@pytest.mark.parametrize("may_be_words", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_calls_are_read(size: int, may_be_words: bool) -> None:
    assert read(CALLS, size, may_be_words) == (list(zip(NAMES, ARGUMENTS, strict=True)), "")


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("text", ['{"name":"x","age":5}', '{"na', "[1]", "{}", '{"name":"x"', "word"])
def test_words_are_read(text: str, size: int) -> None:
    assert read(text, size, True) == ([], text)


def test_arguments_that_are_cut_short_are_given_as_far_as_they_go() -> None:
    assert read('{"name":"f","arguments":{"a": "b', 4, False) == ([("f", '{"a": "b')], "")


def test_a_name_that_does_not_end_is_not_held_back() -> None:
    reader = CallReader(may_be_words=True)
    begun = '{"name":"' + "x" * 3000
    assert list(reader.feed(begun)) == [Words(begun)]
    assert list(reader.feed("y")) == [Words("y")]
