"""The registry: the packaged catalog, and names found as the contract says."""

from __future__ import annotations

import pytest

from foundrylocal.catalog.registry import (
    HubSource,
    Model,
    PackageSource,
    Registry,
    SourceFile,
    parse_model,
    render_model,
)
from foundrylocal.errors import ModelNotFound


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def a_model(name: str, organisation: str = "me") -> Model:
    source = HubSource("me/repo", None, (SourceFile("a.gguf", 5, None), SourceFile("mmproj.gguf", 7, None)))
    return Model(f"{organisation}/{name}", name, None, None, None, None, None, (), (source,))


def test_the_catalog_has_every_model_in_order(registry: Registry) -> None:
    models = registry.all()
    assert len(models) == 111
    assert models[0].model_id == "Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
    assert all(model.model_id.endswith(f"/{model.simple_name}") and model.sources for model in models)


def test_the_starter_model_comes_from_its_package_first(registry: Registry) -> None:
    starter = registry.find("SmolLM2-135M-Instruct-Q4_1-GGUF")
    assert isinstance(starter.sources[0], PackageSource)
    assert starter.file_size_bytes == 98362432


@pytest.mark.parametrize(
    "name",
    [
        "Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
        "QWEN2.5-0.5b-instruct-q8_0-gguf",
        "Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
        "qwen/qwen2.5-0.5B-Instruct-Q8_0-gguf",
    ],
)
def test_a_model_is_found_by_either_name_ignoring_case(registry: Registry, name: str) -> None:
    assert registry.find(name).model_id == "Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF"


def test_an_unknown_name_brings_the_nearest_ones(registry: Registry) -> None:
    with pytest.raises(ModelNotFound) as caught:
        registry.find("Qwen2.5-0.5B-Instruct")
    assert "Qwen2.5-0.5B-Instruct-Q8_0-GGUF" in str(caught.value.details)


def test_a_name_of_any_length_is_answered_with_a_bounded_error(registry: Registry) -> None:
    with pytest.raises(ModelNotFound) as caught:
        registry.find("x" * 1_000_000)
    assert len(caught.value.message) < 400


def test_an_imported_model_is_found_and_its_names_are_taken() -> None:
    registry = Registry([a_model("One")])
    registry.add(a_model("Two"))
    assert registry.find("me/two").file_size_bytes == 12
    with pytest.raises(ValueError, match="taken"):
        registry.add(a_model("one", "you"))
    registry.remove("ME/Two")
    assert [model.simple_name for model in registry.all()] == ["One"]
    with pytest.raises(ModelNotFound):
        registry.find("Two")


def test_every_entry_survives_writing_and_reading(registry: Registry) -> None:
    for model in registry.all():
        assert parse_model(render_model(model)) == model
