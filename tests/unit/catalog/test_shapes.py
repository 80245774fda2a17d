"""The dimensions in the catalog agree with the files that the publishers offer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import foundrylocal.catalog.shapes as shapes_module
from foundrylocal.catalog.registry import Model, Registry
from foundrylocal.catalog.shapes import expected_files
from foundrylocal.wire.load_options import EffectiveOptions

SHAPES: dict[str, dict[str, Any]] = json.loads(
    Path(shapes_module.__file__).with_name("shapes.json").read_bytes()
)
MODELS = {model.simple_name: model for model in Registry.load().all()}
# Bits that a weight takes, for the quantizations that store all large matrices alike.
BITS_PER_WEIGHT = {"Q8_0": 8.5, "F16": 16.0, "Q6_K": 6.56}
# The others mix types: a small model's embedding takes more than its share.
MIXED = {"Q4_K_M": (0.60, 1.05), "Q5_K_M": (0.85, 1.05), "Q4_0": (0.78, 1.05), "Q4_1": (0.80, 1.05)}
MIXED_BITS = {"Q4_K_M": 4.83, "Q5_K_M": 5.67, "Q4_0": 4.5, "Q4_1": 5.0}
# Their experts are not part of a shape: only those that a token uses decide the memory of a load.
EXPERTS = {"qwen3moe", "gpt-oss"}


def weights_of(shape: dict[str, Any], *, is_tied: bool) -> int:
    """The weights that the dimensions imply; tied models use one matrix for input and output."""
    embedding = shape["embedding_length"]
    attention = 2 * embedding * shape["head_length"] * (shape["heads"] + shape["kv_heads"])
    matrices = 2 if shape["architecture"] == "bert" else 3
    feed_forward = matrices * embedding * shape["feed_forward_length"]
    vocabulary = shape["vocabulary_size"] * embedding
    return shape["layers"] * (attention + feed_forward) + vocabulary * (1 if is_tied else 2)


def dense_models() -> list[Model]:
    return [
        model
        for model in MODELS.values()
        if model.shape and model.file_size_bytes and SHAPES[model.shape]["architecture"] not in EXPERTS
    ]


@pytest.mark.parametrize("model", dense_models(), ids=lambda model: model.simple_name)
def test_the_weights_of_a_shape_fill_the_published_file(model: Model) -> None:
    assert model.shape and model.quantization
    file_bytes = model.sources[0].files[0].size_bytes or 0
    bits = BITS_PER_WEIGHT.get(model.quantization) or MIXED_BITS[model.quantization]
    least, most = MIXED.get(model.quantization, (0.92, 1.02))
    shares = [
        weights_of(SHAPES[model.shape], is_tied=is_tied) * bits / 8 / file_bytes for is_tied in (True, False)
    ]
    assert any(least <= share <= most for share in shares), shares


def test_a_wrong_number_of_layers_would_be_noticed() -> None:
    model = MODELS["Qwen2.5-7B-Instruct-Q8_0-GGUF"]
    wrong = SHAPES["Qwen2.5-7B"] | {"layers": 32}
    share = weights_of(wrong, is_tied=False) * 8.5 / 8 / model.file_size_bytes
    assert not 0.92 <= share <= 1.02


def test_every_shape_is_used_and_every_name_leads_to_one() -> None:
    assert {model.shape for model in MODELS.values() if model.shape} == set(SHAPES)
    assert all(model.context_length for model in MODELS.values() if model.shape)


def test_the_memory_grows_with_the_context_as_published() -> None:
    model = MODELS["Qwen2.5-7B-Instruct-Q4_K_M-GGUF"]
    expected = expected_files(model)
    assert expected is not None
    memory = expected.estimate(EffectiveOptions(context_size=32_768))
    assert memory.weights_bytes == model.file_size_bytes
    # 28 layers, 4 heads of keys and of values, 128 numbers each, 2 bytes a number
    assert memory.kv_cache_bytes == 32_768 * 28 * 4 * 128 * 2 * 2
    assert expected.limit(1_000_000) == 32_768


def test_a_model_without_dimensions_or_size_is_not_guessed() -> None:
    model = MODELS["Qwen2.5-7B-Instruct-Q4_K_M-GGUF"]
    assert expected_files(replace(model, shape=None)) is None
    assert expected_files(replace(model, shape="no-such-shape")) is None
    assert expected_files(MODELS["gemma-3-270m-it-qat-Q4_0-GGUF"]) is None  # the size is not published
