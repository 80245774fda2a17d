from __future__ import annotations

from pathlib import Path

import pytest

from foundrylocal.catalog.gguf.bytes import GgufInvalid
from foundrylocal.catalog.gguf.values import CHAT_TEMPLATE, read_values
from tests.fakes.gguf_corpus import tiny_keys, write_gguf


def test_all_plain_values_are_read_and_lists_are_left_out(tmp_path: Path) -> None:
    template = "{{ messages }}" * 2000
    file = tmp_path / "a.gguf"
    write_gguf(
        file, tiny_keys() | {CHAT_TEMPLATE: template, "general.description": "x" * 9000, "a.list": [1.0, 2.0]}
    )
    found = read_values(file)
    assert found["general.architecture"] == "llama" and found[CHAT_TEMPLATE] == template
    assert isinstance(found["llama.context_length"], int)
    assert found["a.list"] is None and len(str(found["general.description"])) == 4096


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"x" * 100)
    with pytest.raises(GgufInvalid):
        read_values(file)
