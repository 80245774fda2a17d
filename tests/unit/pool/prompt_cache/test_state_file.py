"""State files: what is read of them, and what is refused."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from foundrylocal.pool.prompt_cache.state_file import StateFileInvalid, common_prefix_length, read_tokens
from tests.unit.pool.prompt_cache.state_files import state_bytes


def test_the_tokens_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(state_bytes([1, 2, 3]))
    assert list(read_tokens(path)) == [1, 2, 3]


def test_the_tokens_of_builds_that_save_images_are_read_without_what_is_around_them(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(state_bytes([-1, 1, 4, 7, 8, 9, 10, 0]))
    assert list(read_tokens(path)) == [7, 8, 9, 10]


def test_prompts_with_different_images_differ_from_the_image_on(tmp_path: Path) -> None:
    found = []
    for image in (111, 222):
        path = tmp_path / f"{image}"
        path.write_bytes(state_bytes([-1, 1, 4, 7, -1, -1, 10, 1, image]))
        found.append(read_tokens(path))
    assert [tokens[0] for tokens in found] == [7, 7]
    assert common_prefix_length(*found) == 1
    assert common_prefix_length(found[0], found[0]) == 4


@pytest.mark.parametrize("tokens", [[-1], [-1, 1], [-1, 1, 5, 7], [-1, 1, -2, 7]], ids=str)
def test_tokens_of_an_unknown_form_are_refused(tmp_path: Path, tokens: list[int]) -> None:
    path = tmp_path / "a"
    path.write_bytes(state_bytes(tokens))
    with pytest.raises(StateFileInvalid):
        read_tokens(path)


@pytest.mark.parametrize(
    "data",
    [b"", b"short", b"\0" * 100, state_bytes([1, 2, 3])[:20], state_bytes([1])[:8] + b"\xff\xff\xff\xff"],
    ids=["empty", "no header", "no state file", "cut within its tokens", "claims four billion tokens"],
)
def test_anything_else_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(StateFileInvalid):
        read_tokens(path)


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [
        ([], [], 0),
        ([1], [2], 0),
        ([1, 2, 3], [1, 2, 4], 2),
        ([1, 2], [1, 2, 3], 2),
        ([1, 2, 3], [1, 2, 3], 3),
    ],
)
def test_the_common_prefix(first: list[int], second: list[int], length: int) -> None:
    assert common_prefix_length(array("i", first), array("i", second)) == length
    assert common_prefix_length(array("i", second), array("i", first)) == length
