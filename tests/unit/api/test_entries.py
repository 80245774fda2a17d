"""Entries of models in lists: facts of the catalog, and what is unknown said so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from foundrylocal.api.entries import entry_of
from foundrylocal.catalog.registry import Registry
from foundrylocal.wire.models import ModelEntry

REGISTRY = Registry.load()


def test_a_catalog_model_has_its_facts_before_the_download() -> None:
    entry = entry_of(REGISTRY.find("Qwen2.5-7B-Instruct-Q4_K_M-GGUF"), None, set())
    ModelEntry.model_validate(entry)
    assert (entry["purpose"], entry["tuning"], entry["license"]) == ("chat", "chat", "apache-2.0")
    assert "de" in entry["languages"] and entry["language_count"] == 29
    default = entry["default_memory"]
    assert default["context_size"] == 32_768
    assert entry["file_size_bytes"] < entry["needed_memory_bytes"] < default["needed_bytes"]
    assert default["needed_formatted"].endswith(" GB")


def test_a_model_without_dimensions_has_the_least_memory_alone() -> None:
    entry = entry_of(REGISTRY.find("Qwen3.5-4B-Q4_K_M-GGUF"), None, set())
    assert entry["default_memory"] is None
    assert entry["needed_memory_bytes"] > entry["file_size_bytes"]


@pytest.mark.parametrize("name", ["gemma-3n-E4B-it-Q8_0-GGUF", "gemma-3-270m-it-qat-Q4_0-GGUF"])
def test_an_unknown_size_is_called_unknown(name: str) -> None:
    entry = entry_of(REGISTRY.find(name), None, set())
    assert (entry["file_size_bytes"], entry["file_size_formatted"]) == (0, "unknown")
    assert entry["needed_memory_bytes"] is entry["default_memory"] is None


def test_nothing_stated_is_null() -> None:
    model = replace(REGISTRY.find("gemma-3-270m-Q4_K_M-GGUF"), license=None, is_base=False, shape=None)
    entry = entry_of(model, None, set())
    ModelEntry.model_validate(entry)
    assert [entry[name] for name in ("purpose", "tuning", "languages", "language_count", "license")] == [
        None
    ] * 5
