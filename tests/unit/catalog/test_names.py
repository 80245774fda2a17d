"""Folder and file names: one plain component each, different for different models."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.catalog import names

HOSTILE = [
    "../../etc/passwd",
    "..",
    "a/../..",
    "/abs",
    "C:\\x",
    "con",
    "NUL.gguf",
    "a.",
    "-rf",
    "\x00",
    "",
    "é",
    "a b",
]


@pytest.mark.parametrize("model_id", HOSTILE)
def test_a_hostile_model_id_gives_plain_folders(model_id: str) -> None:
    for part in names.folder_parts(model_id):
        assert names.is_safe_file_name(part)


@given(st.text(max_size=300))
def test_any_text_gives_one_component_that_every_system_accepts(text: str) -> None:
    for name in (*names.folder_parts(text), names.safe_file_name(text)):
        assert PurePosixPath(name).parts == (name,) == PureWindowsPath(name).parts
        assert name not in {".", ".."}
        assert not name.startswith(("-", "."))
        assert names.is_safe_file_name(name)


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_names_share_a_folder_only_when_they_are_one_name(first: str, second: str) -> None:
    is_same_folder = names.safe_component(first).casefold() == names.safe_component(second).casefold()
    assert is_same_folder == (first.casefold() == second.casefold())


def test_a_published_name_is_its_own_folder() -> None:
    parts = names.folder_parts("Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF")
    assert parts == ("Qwen", "Qwen2.5-0.5B-Instruct-Q8_0-GGUF")


def test_the_parts_of_a_split_model_stay_neighbours() -> None:
    first, second = (names.safe_file_name(f"Q4/my model (1)-0000{n}-of-00002.gguf") for n in (1, 2))
    assert first.endswith("-00001-of-00002.gguf")
    assert first.replace("-00001-", "-00002-") == second
