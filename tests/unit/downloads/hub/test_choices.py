"""What a repository on the hub offers: whole models with their projector, and what a split one lacks."""

from __future__ import annotations

import pytest

from foundrylocal.catalog.registry import SourceFile
from foundrylocal.downloads.hub.choices import offer_of, pick, pick_incomplete

FILES = [
    SourceFile("model-Q4_K_M.gguf", 400, None),
    SourceFile("model-Q8_0.gguf", 800, None),
    SourceFile("big/model-F16-00002-of-00002.gguf", 600, None),
    SourceFile("big/model-F16-00001-of-00002.gguf", 900, None),
    SourceFile("half/model-F32-00001-of-00003.gguf", 900, None),
    SourceFile("mmproj-model-f32.gguf", 90, None),
    SourceFile("mmproj-model-f16.gguf", 50, None),
    SourceFile("model-imatrix.gguf", 5, None),
    SourceFile("model-draft-Q4_0.gguf", 10, None),
    SourceFile("mtp-model-Q4_0.gguf", 10, None),
    SourceFile("lora-f16.gguf", 10, None),
]


def test_parts_come_together_and_a_projector_comes_along() -> None:
    found = offer_of(FILES).choices
    assert [choice.quantization for choice in found] == ["Q4_K_M", "Q8_0", "F16"]
    assert [file.path for file in found[2].files] == [
        "big/model-F16-00001-of-00002.gguf",
        "big/model-F16-00002-of-00002.gguf",
        "mmproj-model-f16.gguf",
    ]
    assert found[2].size_bytes == 1550


@pytest.mark.parametrize(
    ("wanted", "quantization"),
    [
        (None, "Q4_K_M"),
        ("q8_0", "Q8_0"),
        ("model-q8_0.gguf", "Q8_0"),
        ("F16", "F16"),
        ("Q2_K", None),
        ("Q4_0", None),
        ("F32", None),
    ],
)
def test_a_choice_is_picked_by_quantization_or_file(wanted: str | None, quantization: str | None) -> None:
    picked = pick(offer_of(FILES).choices, wanted)
    assert (picked.quantization if picked else None) == quantization


def test_the_quantization_of_a_folder_is_found() -> None:
    files = [SourceFile(f"{name}/model.gguf", 1, None) for name in ("Q4_K_M", "UD-Q8_K_XL")]
    offer = offer_of(files)
    assert {choice.quantization for choice in offer.choices} == {"Q4_K_M", "UD-Q8_K_XL"}
    picked = pick(offer.choices, "ud-q8_k_xl")
    assert picked is not None
    assert picked.files == (files[1],)


@pytest.mark.parametrize(
    ("present", "count", "missing"),
    [
        ([1], 3, "parts 2-3 of 3"),
        ([1, 3], 3, "part 2 of 3"),
        ([2, 3], 3, "part 1 of 3"),
        ([2, 4, 6], 6, "parts 1, 3 and 5 of 6"),
        ([1], 99_999, "parts 2-99999 of 99999"),
        (range(1, 100, 2), 100, "parts 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and more of 100"),
    ],
)
def test_half_a_split_says_what_is_missing(present: list[int], count: int, missing: str) -> None:
    files = [SourceFile(f"m-Q8_0-{number:05}-of-{count:05}.gguf", 1, None) for number in present]
    offer = offer_of(files)
    assert offer.choices == ()
    for wanted in (None, "q8_0", files[0].path):
        incomplete = pick_incomplete(offer, wanted)
        assert incomplete is not None
        assert incomplete.missing == missing


def test_a_part_twice_is_not_two_parts() -> None:
    files = [SourceFile("m-00001-of-00002.gguf", 1, None), SourceFile("m-00001-of-00002.gguf", 1, None)]
    assert offer_of(files).choices == ()
