"""Memory: what a model will take, worked out by hand for known shapes, and what the machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.gguf_corpus import tiny_keys, write_gguf
from foundrylocal.catalog.gguf.read import GgufHeader, read_header
from foundrylocal.catalog.memory import MemoryEstimate, available_bytes, estimate
from foundrylocal.wire.load_options import KvCacheType

MIB = 1024 * 1024


@pytest.fixture
def header_with(tmp_path: Path) -> Any:
    """Makes the header of a file with the given keys changed; `arch` renames the architecture."""

    def make(arch: str = "llama", **changes: Any) -> GgufHeader:
        own = {name.replace("llama.", f"{arch}."): value for name, value in tiny_keys().items()}
        own["general.architecture"] = arch
        own.update({f"{arch}.{name.replace('__', '.')}": value for name, value in changes.items()})
        return read_header(write_gguf(tmp_path / "model.gguf", own))

    return make


def cache_bytes(header: GgufHeader, context_size: int, parallel: int = 1) -> int:
    return estimate(header, 0, context_size=context_size, parallel=parallel).kv_cache_bytes


def test_the_cache_is_two_bytes_for_each_number_of_each_token(header_with: Any) -> None:
    header = header_with(
        block_count=30, embedding_length=576, attention__head_count=9, attention__head_count_kv=3
    )
    # The engine says of the same shape: 4096 cells, 30 layers, 90.00 MiB.
    assert cache_bytes(header, 4096) == 90 * MIB
    assert cache_bytes(header, 32768) == 720 * MIB


def test_all_slots_share_one_cache(header_with: Any) -> None:
    assert cache_bytes(header_with(), 4096, parallel=1) == cache_bytes(header_with(), 4096, parallel=16)


def test_the_cache_is_rounded_up_as_the_engine_does(header_with: Any) -> None:
    assert cache_bytes(header_with(), 1) == cache_bytes(header_with(), 256)
    assert cache_bytes(header_with(), 257) == cache_bytes(header_with(), 512)


def test_no_context_size_means_the_models_own(header_with: Any) -> None:
    assert cache_bytes(header_with(context_length=8192), 0) == cache_bytes(header_with(), 8192)


def test_layers_with_other_heads_count_for_themselves(header_with: Any) -> None:
    one = cache_bytes(header_with(attention__head_count_kv=[0, 1]), 4096)
    assert cache_bytes(header_with(attention__head_count_kv=[1, 3]), 4096) == 4 * one


def test_given_lengths_count(header_with: Any) -> None:
    header = header_with(attention__key_length=128, attention__value_length=64)
    assert cache_bytes(header, 1024) == 1024 * 2 * 2 * (128 + 64) * 2


def test_a_sliding_window_keeps_only_itself_and_a_batch(header_with: Any) -> None:
    header = header_with("gemma3", block_count=6, attention__sliding_window=512)
    of_token = 2 * (16 + 16) * 2
    assert cache_bytes(header, 32768) == (32768 + 5 * 1024) * of_token
    assert cache_bytes(header, 32768, parallel=4) == (32768 + 5 * (4 * 512 + 512)) * of_token
    assert cache_bytes(header, 512) == 6 * 512 * of_token


def test_a_real_shape_with_windows_is_what_the_engine_says(header_with: Any) -> None:
    header = header_with(
        "gemma3",
        block_count=18,
        attention__head_count_kv=1,
        attention__key_length=256,
        attention__value_length=256,
        attention__sliding_window=512,
    )
    # The engine says 24.00 + 37.50 MiB, and 96.00 + 15.00 MiB.
    assert cache_bytes(header, 8192, parallel=4) == 61.5 * MIB
    assert cache_bytes(header, 32768) == 111 * MIB


def test_the_files_own_pattern_of_windows_is_used(header_with: Any) -> None:
    of_token = 2 * (16 + 16) * 2
    for pattern in ([True, False], 2):
        header = header_with(attention__sliding_window=256, attention__sliding_window_pattern=pattern)
        assert cache_bytes(header, 8192) == (8192 + 768) * of_token


def test_a_window_without_a_known_pattern_saves_nothing(header_with: Any) -> None:
    assert cache_bytes(header_with("phi3", attention__sliding_window=256), 8192) == cache_bytes(
        header_with(), 8192
    )


def test_layers_that_share_a_cache_count_once(header_with: Any) -> None:
    header = header_with(block_count=4, attention__shared_kv_layers=2)
    assert cache_bytes(header, 4096) == cache_bytes(header_with(), 4096)


def test_an_encoder_keeps_no_context(header_with: Any) -> None:
    assert cache_bytes(header_with("bert"), 512) == 0


def test_a_recurrent_model_keeps_a_state_for_each_slot(header_with: Any) -> None:
    header = header_with("mamba", ssm__conv_kernel=4, ssm__inner_size=128, ssm__state_size=16)
    state = (3 * 128 + 16 * 128) * 4
    assert cache_bytes(header, 100_000) == 2 * state
    assert cache_bytes(header, 256, parallel=4) == 8 * state


def test_a_mixed_model_keeps_both(header_with: Any) -> None:
    header = header_with(
        "qwen3next",
        block_count=4,
        full_attention_interval=4,
        ssm__conv_kernel=4,
        ssm__inner_size=64,
        ssm__state_size=8,
    )
    assert cache_bytes(header, 1024) == 1024 * 2 * (16 + 16) * 2 + 3 * (3 * 64 + 8 * 64) * 4


def test_the_total_is_the_sum(header_with: Any) -> None:
    made = estimate(header_with(), 1000 * MIB, context_size=4096, parallel=4)
    assert made.weights_bytes == 1000 * MIB
    assert made.total_bytes == made.weights_bytes + made.kv_cache_bytes + made.compute_bytes
    assert MemoryEstimate(1, 2, 3).total_bytes == 6


def test_the_rest_is_close_to_what_the_engine_takes(header_with: Any) -> None:
    shape = {"embedding_length": 576, "feed_forward_length": 1536, "attention__head_count": 9}
    small = estimate(header_with(**shape), 0, context_size=4096, parallel=4).compute_bytes
    large = estimate(header_with(**shape), 0, context_size=32768, parallel=4).compute_bytes
    # The engine's compute buffer for this shape: 18.64 MiB and 46.64 MiB.
    assert large - small == 28 * MIB
    assert 18.64 * MIB < small < 80 * MIB


def test_an_embedding_is_computed_in_one_batch(header_with: Any) -> None:
    chat = estimate(header_with(), 0, context_size=8192, parallel=1)
    embedding = estimate(header_with(pooling_type=1), 0, context_size=8192, parallel=1)
    assert embedding.compute_bytes > chat.compute_bytes


@pytest.fixture(scope="module")
def one_header(tmp_path_factory: pytest.TempPathFactory) -> GgufHeader:
    return read_header(write_gguf(tmp_path_factory.mktemp("memory") / "model.gguf"))


@given(context_size=st.integers(0, 2**31), parallel=st.integers(0, 64), file_bytes=st.integers(0, 2**50))
def test_more_context_never_takes_less(
    one_header: GgufHeader, context_size: int, parallel: int, file_bytes: int
) -> None:
    made = estimate(one_header, file_bytes, context_size=context_size + 1, parallel=parallel)
    more = estimate(one_header, file_bytes, context_size=2 * context_size + 1, parallel=parallel + 1)
    assert 0 <= made.total_bytes <= more.total_bytes


# --- what there is --------------------------------------------------------------------------------------


def group(folder: Path, limit: str, used: int = 0, inactive_file: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {inactive_file}\nactive_file 7\n")


@pytest.fixture
def groups(tmp_path: Path) -> Any:
    """Asks for the free memory of a process in the control group `name` under a made-up tree."""
    tree = tmp_path / "groups"
    tree.mkdir()

    def free(name: str) -> int:
        (tmp_path / "membership").write_text(f"1:name=systemd:/old\n0::{name}\n")
        return available_bytes(membership=tmp_path / "membership", groups=tree)

    return tree, free


def test_without_control_groups_it_is_the_machines(tmp_path: Path) -> None:
    free = available_bytes(membership=tmp_path / "none", groups=tmp_path / "none")
    assert 0 < free <= psutil.virtual_memory().total


def test_a_group_with_less_decides(groups: Any) -> None:
    tree, free = groups
    group(tree / "service", "1000000", used=400_000)
    assert free("/service") == 600_000


def test_a_group_around_it_decides_too(groups: Any) -> None:
    tree, free = groups
    group(tree / "outer", "500000", used=100_000)
    group(tree / "outer" / "inner", "max", used=50_000)
    assert free("/outer/inner") == 400_000


def test_a_container_sees_its_own_limit_at_the_top(groups: Any) -> None:
    tree, free = groups
    group(tree, "2000000", used=500_000)
    assert free("/") == 1_500_000


def test_file_contents_that_can_go_count_as_free(groups: Any) -> None:
    tree, free = groups
    group(tree / "service", "1000000", used=900_000, inactive_file=700_000)
    assert free("/service") == 800_000


def test_a_group_that_is_full_leaves_nothing(groups: Any) -> None:
    tree, free = groups
    group(tree / "service", "1000000", used=1_500_000)
    assert free("/service") == 0


def test_no_limit_and_nonsense_are_no_limit(groups: Any) -> None:
    tree, free = groups
    group(tree / "service", "max", used=900_000)
    group(tree, "what")
    assert free("/service") > 900_000
    assert free("/../../elsewhere") > 900_000


def test_a_quantized_cache_takes_what_its_blocks_take(header_with: Any) -> None:
    header = header_with(
        block_count=30, embedding_length=576, attention__head_count=9, attention__head_count_kv=3
    )

    def of_type(kind: KvCacheType) -> int:
        return estimate(header, 0, context_size=4096, parallel=1, kv_cache_type=kind).kv_cache_bytes

    assert of_type("f16") == 90 * MIB
    assert of_type("q8_0") == 90 * MIB * 34 // 64
    assert of_type("q4_0") == 90 * MIB * 18 // 64
