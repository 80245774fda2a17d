"""What to install when the loader does not find a library."""

from __future__ import annotations

import pytest

from foundrylocal.engine.missing_library import how_to_install

LOADER = "ImportError: {}: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("libgomp.so.1", "apt-get install libgomp1, or dnf install libgomp"),
        ("libstdc++.so.6", "apt-get install libstdc++6"),
        ("libcudart.so.12", "the package of your distribution that has libcudart.so.12"),
    ],
)
def test_a_library_leads_to_its_package(library: str, words: str) -> None:
    assert words in (how_to_install(LOADER.format(library)) or "")


@pytest.mark.parametrize(
    "text", ["", "ModuleNotFoundError: No module named 'xllamacpp'", "lib" + "a" * 100_000]
)
def test_other_messages_name_no_library(text: str) -> None:
    assert how_to_install(text) is None
