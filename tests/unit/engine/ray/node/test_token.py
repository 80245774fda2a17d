"""The token: made once, private, and checked before it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundrylocal.engine.ray.node.token import (
    find_token,
    is_private,
    load_or_make_token,
    read_token,
    save_token,
    token_path,
)


def test_a_token_is_made_once_and_readable_by_the_user_alone(tmp_path: Path) -> None:
    assert find_token(tmp_path) is None
    path = load_or_make_token(tmp_path)
    token = read_token(tmp_path)
    assert token is not None
    assert len(token) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make_token(tmp_path) == path
    assert read_token(tmp_path) == token


def test_a_mode_that_was_widened_is_narrowed(tmp_path: Path) -> None:
    path = load_or_make_token(tmp_path)
    path.chmod(0o644)
    assert not is_private(path)
    load_or_make_token(tmp_path)
    assert is_private(path)


@pytest.mark.parametrize("text", ["", "short", "x" * 257, "a b" * 20, "x" * 40 + "\nmore", "ü" * 40])
def test_what_is_no_token_is_not_kept(tmp_path: Path, text: str) -> None:
    save_token(tmp_path, "t" * 32)
    with pytest.raises(ValueError, match="32 to 256"):
        save_token(tmp_path, text)
    assert read_token(tmp_path) == "t" * 32


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"short\n", b"x" * 2000])
def test_a_damaged_file_counts_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    token_path(tmp_path).write_bytes(content)
    assert find_token(tmp_path) is None
    load_or_make_token(tmp_path)
    assert find_token(tmp_path) is not None
