"""Names of GGUF files: the quantization, and whether a file is a model or belongs to one."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundrylocal.catalog.file_names import (
    FileKind,
    is_projector,
    kind_of,
    models_among,
    projector_among,
    quantization_of,
)


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
        ("Q4_K_M/model.gguf", "Q4_K_M"),
        ("UD-IQ1_S/DeepSeek-R1-00001-of-00003.gguf", "UD-IQ1_S"),
        ("quants/bf16/part/model-00001-of-00002.gguf", "BF16"),
        ("Q8_0/old/Q4_0/model.gguf", "Q4_0"),
        ("Q8_0/model-Q4_0.gguf", "Q4_0"),
        ("Model-Q8_0-GGUF/model.gguf", "Q8_0"),
        ("folder\\F16\\model.gguf", "F16"),
    ],
)
def test_a_quantization_is_read_from_a_name_or_its_folder(name: str, quantization: str | None) -> None:
    assert quantization_of(name) == quantization


AUXILIARY = [
    ("sub/mmproj-F16.gguf", FileKind.PROJECTOR),
    ("model.mmproj-q8_0.gguf", FileKind.PROJECTOR),
    ("imatrix.gguf", FileKind.IMATRIX),
    ("Qwen3-8B-imatrix.gguf", FileKind.IMATRIX),
    ("imatrix_unsloth.gguf", FileKind.IMATRIX),
    ("Qwen3.imatrix.gguf", FileKind.IMATRIX),
    ("lora.gguf", FileKind.ADAPTER),
    ("Qwen2.5-1.5B-abliterated-F16-LoRA.gguf", FileKind.ADAPTER),
    ("adapter-q8_0.gguf", FileKind.ADAPTER),
    ("my_adapter.gguf", FileKind.ADAPTER),
    ("Qwen3-0.6B-DRAFT-Q4_0.gguf", FileKind.DRAFT),
    ("draft/Kimi-K2-drafter-Q8_0.gguf", FileKind.DRAFT),
    ("eagle3-Llama-3.3.gguf", FileKind.DRAFT),
    ("dflash-Qwen3.gguf", FileKind.DRAFT),
    ("mtp-Qwen3.6-27B-Q8_0.gguf", FileKind.MTP),
    ("GLM-4.6-MTP.gguf", FileKind.MTP),
    ("model-nextn-f16.gguf", FileKind.MTP),
]
MODELS = [
    "Qwen3-8B-Q4_K_M.gguf",
    "Qwen3-8B-IQ4_XS-imatrix.gguf",
    "alpaca-lora-7B-q4_0.gguf",
    "mmproj/model.gguf",
    "lora/model-F16.gguf",
    "Eagleton-7B.gguf",
    "Draftsman-7B-Q8_0.gguf",
    "explorations.gguf",
    "drafting-Q4_0.gguf",
]


@pytest.mark.parametrize(("name", "kind"), [*AUXILIARY, *((name, FileKind.MODEL) for name in MODELS)])
def test_what_a_file_is_shows_in_its_name(name: str, kind: FileKind) -> None:
    assert kind_of(name) is kind
    assert is_projector(name) == (kind is FileKind.PROJECTOR)


@pytest.mark.parametrize("name", [name for name, _ in AUXILIARY])
def test_a_file_that_belongs_to_a_model_is_not_taken_for_one(name: str) -> None:
    assert models_among([name, "model-Q4_K_M.gguf"]) == ["model-Q4_K_M.gguf"]


def test_draft_and_mtp_in_the_name_of_every_file_are_part_of_the_models_name() -> None:
    mtp = ["Qwen3.6-27B-MTP-Q4_K_M.gguf", "Qwen3.6-27B-MTP-Q8_0.gguf"]
    assert models_among([*mtp, "mmproj-F16.gguf", "imatrix.gguf"]) == mtp
    assert models_among(["Kimi-DRAFT-0.6B-Q4_0.gguf"]) == ["Kimi-DRAFT-0.6B-Q4_0.gguf"]
    for lonely in ("imatrix.gguf", "mmproj-F16.gguf", "lora-f16.gguf"):
        assert models_among([lonely]) == []


def test_the_projector_of_a_folder_with_one_model() -> None:
    files = [Path("m-Q4_0.gguf"), Path("m-Q8_0.gguf"), Path("mmproj-F16.gguf"), Path("imatrix.gguf")]
    assert projector_among(files) == Path("mmproj-F16.gguf")
    assert projector_among([*files, Path("other-Q4_0.gguf")]) is None
    assert projector_among([*files, Path("mmproj-F32.gguf")]) is None
