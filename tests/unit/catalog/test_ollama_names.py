from __future__ import annotations

import pytest

from foundrylocal.catalog.ollama_names import (
    aliased,
    find_alias,
    names_in_ollama,
    ollama_names,
    without_latest,
)
from foundrylocal.catalog.registry import Registry
from foundrylocal.errors import ModelNotFound

STARTER = "SmolLM2-135M-Instruct-Q4_1-GGUF"


def test_every_name_leads_to_a_model_of_the_catalog() -> None:
    registry = Registry.load()
    for name, simple_name in ollama_names().items():
        assert registry.find(name).simple_name == simple_name == registry.find(f"{name}").simple_name
    assert len(ollama_names()) > 100


@pytest.mark.parametrize(
    ("name", "simple_name"),
    [
        ("qwen2.5:0.5b", "Qwen2.5-0.5B-Instruct-Q4_K_M-GGUF"),
        ("Qwen2.5:0.5B-instruct-q8_0", "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"),
        ("llama3.2", "Llama-3.2-3B-Instruct-Q4_K_M-GGUF"),
        ("llama3.2:latest", "Llama-3.2-3B-Instruct-Q4_K_M-GGUF"),
        ("registry.ollama.ai/library/llama3.2:1b", "Llama-3.2-1B-Instruct-Q4_K_M-GGUF"),
        ("smollm2:135m", STARTER),
        (f"{STARTER}:latest", STARTER),
        (f"HuggingFaceTB/{STARTER}:latest", STARTER),
    ],
)
def test_names_as_people_know_them_from_ollama(name: str, simple_name: str) -> None:
    assert Registry.load().find(name).simple_name == simple_name


def test_an_unknown_tag_is_not_another_size() -> None:
    with pytest.raises(ModelNotFound):
        Registry.load().find("llama3.2:9000b")


def test_a_model_is_listed_by_its_short_names_first() -> None:
    assert names_in_ollama("Llama-3.2-3B-Instruct-Q4_K_M-GGUF")[:2] == ("llama3.2:latest", "llama3.2:3b")
    assert names_in_ollama("nobody") == ()


def test_an_alias_goes_with_or_without_latest() -> None:
    aliases = {"mine": STARTER}
    assert aliased("mine", aliases) == aliased("mine:latest", aliases) == STARTER
    assert aliased("other", aliases) == "other"


@pytest.mark.parametrize("alias", ["Mine", "mine:latest", "MINE:LATEST", "mine"])
@pytest.mark.parametrize("name", ["mine", "Mine", " MINE:latest ", "library/mine"])
def test_an_alias_is_meant_whatever_its_case_and_tag(alias: str, name: str) -> None:
    assert find_alias(name, {"other": "x", alias: STARTER}) == alias


def test_an_aliass_own_spelling_comes_first() -> None:
    aliases = {"mine": "a", "Mine": "b", "MINE:latest": "c"}
    assert [aliased(name, aliases) for name in ("mine", "Mine", "MINE:latest")] == ["a", "b", "c"]
    assert without_latest("x:LATEST") == "x"
