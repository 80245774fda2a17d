"""Depth of JSON: found at once, in any text."""

from __future__ import annotations

import pytest

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.limits.json_depth import MAX_DEPTH, check_arguments, is_too_deep


@pytest.mark.parametrize(
    ("text", "is_deep"),
    [
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, False),
        (b"[" * (MAX_DEPTH + 1), True),
        (b'["' + b"[" * 100 + b'"]', False),
        (b'["\\"' + b"[" * 100 + b'"]', False),
        (b'{"a":"x"}' * 100, False),
        # a string that does not end holds all that follows
        (b'["' + b"[" * 100, False),
    ],
)
def test_depth_counts_brackets_outside_of_strings(text: bytes, is_deep: bool) -> None:
    assert is_too_deep(text) is is_deep


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    ["[" * 32 + '"' + '\\"' * 400_000 + "[" * 33, "[" * 32 + '"' + "a" * 2_000_000 + "\\"],
    ids=range(2),
)
def test_a_text_that_does_not_end_is_read_once(text: str) -> None:
    check_arguments(text, "place")


def test_deep_arguments_are_refused_by_their_place() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_arguments("[" * 33, "place")
    assert caught.value.param == "place"
