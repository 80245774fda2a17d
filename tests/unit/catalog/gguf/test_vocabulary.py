"""Whether two models have the same vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundrylocal.catalog.gguf.bytes import GgufInvalid
from foundrylocal.catalog.gguf.vocabulary import Vocabulary, find_difference, read_vocabulary
from tests.fakes.gguf_corpus import tiny_keys, write_gguf

TOKENS = tuple(f"t{number}".encode() for number in range(300))
BASE = Vocabulary("gpt2", (1, 2, 0, None), TOKENS)


@pytest.mark.parametrize(
    ("draft", "says"),
    [
        (BASE, None),
        (Vocabulary("gpt2", (1, 2, None, 1), TOKENS), None),
        (Vocabulary("gpt2", (1, 2, 0, None), TOKENS[:200]), None),
        (Vocabulary("gpt2", (1, 2, 0, None), (b"x", b"y", *TOKENS[2:])), None),
        (Vocabulary("llama", (1, 2, 0, None), TOKENS), "the kind 'llama', that of the model is 'gpt2'"),
        (Vocabulary("gpt2", (1, 3, 0, None), TOKENS), "eos_token_id is 3, that of the model is 2"),
        (Vocabulary("gpt2", (1, 2, 1, None), TOKENS), "add_bos_token is 1"),
        (Vocabulary("gpt2", (1, 2, 0, None), TOKENS[:171]), "has 171 tokens, the model has 300"),
        (Vocabulary("gpt2", (1, 2, 0, None), (*TOKENS[:7], b"o\x07", *TOKENS[8:])), "token 7 is 'o?'"),
    ],
)
def test_the_rules_are_those_of_the_engine(draft: Vocabulary, says: str | None) -> None:
    found = find_difference(BASE, draft)
    assert found is None if says is None else says in str(found)


def test_a_vocabulary_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    keys = {"tokenizer.ggml.bos_token_id": 2, "tokenizer.ggml.add_bos_token": True}
    write_gguf(path, tiny_keys() | keys)
    tokens = (b"a", b"b", b"<s>", b"</s>", b"", b"c", b"d", b"e")
    assert read_vocabulary(path) == Vocabulary("gpt2", (2, None, 1, None), tokens)


def test_what_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"NOPE" + bytes(100))
    with pytest.raises(GgufInvalid):
        read_vocabulary(path)
