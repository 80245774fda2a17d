"""File names of GGUF repositories: quantization, parts, projector, and which one is meant."""

from __future__ import annotations

import pytest

from foundrylocal.catalog.registry import SourceFile
from foundrylocal.downloads.quantization import choices, pick, quantization_of

FILES = [
    SourceFile("model-Q4_K_M.gguf", 400, None),
    SourceFile("model-Q8_0.gguf", 800, None),
    SourceFile("big/model-F16-00002-of-00002.gguf", 600, None),
    SourceFile("big/model-F16-00001-of-00002.gguf", 900, None),
    SourceFile("half/model-F32-00001-of-00003.gguf", 900, None),
    SourceFile("mmproj-model-f32.gguf", 90, None),
    SourceFile("mmproj-model-f16.gguf", 50, None),
]


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("x/Llama-3.2-1B-Instruct-IQ3_XXS.gguf", "IQ3_XXS"),
        ("gpt-oss-20b-MXFP4.gguf", "MXFP4"),
        ("m-UD-Q2_K_XL-00001-of-00002.gguf", "UD-Q2_K_XL"),
        ("all-MiniLM-L6-v2.F16.gguf", "F16"),
        ("plain.gguf", None),
        ("Q4-is-in-the-middle-of-nothing.gguf", "Q4"),
    ],
)
def test_a_quantization_is_read_from_a_name(name: str, quantization: str | None) -> None:
    assert quantization_of(name) == quantization


def test_parts_come_together_and_a_projector_comes_along() -> None:
    found = choices(FILES)
    assert [choice.quantization for choice in found] == ["Q4_K_M", "Q8_0", "F16"]
    assert [file.path for file in found[2].files] == [
        "big/model-F16-00001-of-00002.gguf",
        "big/model-F16-00002-of-00002.gguf",
        "mmproj-model-f16.gguf",
    ]
    assert found[2].size_bytes == 1550


@pytest.mark.parametrize(
    ("what", "quantization"),
    [(None, "Q4_K_M"), ("q8_0", "Q8_0"), ("model-q8_0.gguf", "Q8_0"), ("F16", "F16"), ("Q2_K", None)],
)
def test_a_choice_is_picked_by_quantization_or_file(what: str | None, quantization: str | None) -> None:
    picked = pick(choices(FILES), what)
    assert (picked.quantization if picked else None) == quantization
