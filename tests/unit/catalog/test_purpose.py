"""What a model is for, in one word."""

from __future__ import annotations

import pytest

from foundrylocal.catalog.purpose import Purpose, Tuning, purpose_of, tuning_of
from foundrylocal.catalog.registry import HubSource, Model, Registry

REGISTRY = Registry.load()


@pytest.mark.parametrize(
    ("name", "purpose", "tuning"),
    [
        ("SmolLM2-135M-Instruct-Q4_1-GGUF", "chat", "chat"),
        ("Qwen2.5-Coder-7B-Instruct-Q4_K_M-GGUF", "code", "chat"),
        ("Qwen3-8B-Q4_K_M-GGUF", "reasoning", "chat"),
        ("gemma-3-4b-it-Q4_K_M-GGUF", "vision", "chat"),
        ("bge-m3-Q8_0-GGUF", "embedding", None),
        ("bge-reranker-v2-m3-Q8_0-GGUF", "rerank", None),
        ("gemma-3-270m-Q4_K_M-GGUF", "completion", "base"),
    ],
)
def test_the_purpose_of_a_catalog_model(name: str, purpose: Purpose, tuning: Tuning | None) -> None:
    model = REGISTRY.find(name)
    assert (purpose_of(model), tuning_of(model)) == (purpose, tuning)


def test_every_catalog_model_has_a_purpose() -> None:
    assert [model.simple_name for model in REGISTRY.all() if purpose_of(model) is None] == []


def test_nothing_is_claimed_of_a_model_that_says_nothing() -> None:
    model = Model("a/m", "m", None, None, None, None, None, (), (HubSource("a/m", None, ()),))
    assert (purpose_of(model), tuning_of(model)) == (None, None)


def test_languages_are_iso_codes_and_stated_or_absent() -> None:
    for model in REGISTRY.all():
        assert all(len(code) == 2 and code.islower() for code in model.languages or ())
        assert model.languages != ()
    assert "de" in (REGISTRY.find("Llama-3.2-3B-Instruct-Q4_K_M-GGUF").languages or ())
    assert REGISTRY.find("DeepSeek-R1-Distill-Qwen-7B-Q4_K_M-GGUF").languages is None
