"""The header reader: what it finds in sound files, and that it refuses everything else, fast and small."""

from __future__ import annotations

import dataclasses
import os
import random
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.gguf_corpus import (
    I32,
    TINY_TENSORS,
    U8,
    U16,
    U64,
    Hostile,
    Typed,
    gguf,
    hostile_files,
    tiny_keys,
    write_gguf,
    write_split,
)
from foundrylocal.catalog.gguf.read import GgufHeader, GgufInvalid, check_split, read_header, read_model

MEMORY_LIMIT_BYTES = 64 * 1024 * 1024
CPU_LIMIT_S = 1.0  # of this thread: a busy machine does not count
ONE_FILE = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150
)


def header_of(folder: Path, tensors: Any = None, **changes: Any) -> GgufHeader:
    return read_header(write_gguf(folder / "model.gguf", tiny_keys(**changes), tensors))


def reason_of(path: Path) -> str:
    with pytest.raises(GgufInvalid) as caught:
        read_header(path)
    return caught.value.reason


# --- sound files ----------------------------------------------------------------------------------------


def test_finds_the_facts_of_a_model(tmp_path: Path) -> None:
    header = header_of(tmp_path)

    assert (header.version, header.architecture, header.kind, header.name) == (3, "llama", "model", "Tiny")
    assert (header.context_length, header.block_count, header.embedding_length) == (2048, 2, 64)
    assert (header.head_count, header.head_count_kv, header.key_length, header.value_length) == (4, 2, 16, 16)
    assert header.parameter_count == 64 * 8 + 64 * 64 + 64 * 64 + 64
    assert header.quantization == "Q4_K_M"
    assert header.tensor_count == len(TINY_TENSORS)
    assert header.data_offset % 32 == 0
    assert (
        header.data_offset + header.tensor_bytes
        <= header.file_bytes
        == (tmp_path / "model.gguf").stat().st_size
    )
    assert header.cache.vocabulary_size == 8
    assert header.cache.feed_forward_length == 128
    assert header.has_chat_template
    assert not (header.is_embedding or header.is_reranker or header.is_projector)


def test_reads_version_2(tmp_path: Path) -> None:
    assert read_header(write_gguf(tmp_path / "two.gguf", version=2)).version == 2


def test_keys_may_come_in_any_order(tmp_path: Path) -> None:
    backwards = dict(reversed(tiny_keys().items()))
    assert read_header(write_gguf(tmp_path / "model.gguf", backwards)).context_length == 2048


def test_is_silent_where_the_file_is(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "bare.gguf", {"general.architecture": "mpt"}))

    assert (header.name, header.context_length, header.head_count, header.key_length) == (
        None,
        None,
        None,
        None,
    )
    assert not header.has_chat_template
    assert header.quantization == "Q4_0"  # the first of the two types with the most values


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "F32"), (3, "Q4_1"), (15, "Q4_K_M"), (30, "IQ4_XS"), (38, "MXFP4_MOE"), (1024 + 18, "Q6_K")],
)
def test_names_the_quantization(tmp_path: Path, number: int, name: str) -> None:
    assert header_of(tmp_path, general__file_type=number).quantization == name


def test_names_the_commonest_tensor_type_where_the_file_type_is_unknown(tmp_path: Path) -> None:
    tensors = {"a": ((64,), 0), "b": ((256, 64), 12)}
    assert header_of(tmp_path, tensors, general__file_type=None).quantization == "Q4_K"
    assert header_of(tmp_path, tensors, general__file_type=999).quantization == "Q4_K"


def test_heads_may_differ_from_layer_to_layer(tmp_path: Path) -> None:
    header = header_of(
        tmp_path, llama__attention__head_count=[0, 4], llama__attention__head_count_kv=Typed(9, [0, 2])
    )

    assert (header.head_count, header.head_count_kv, header.key_length) == ((0, 4), (0, 2), 16)


def test_lengths_that_are_given_win(tmp_path: Path) -> None:
    header = header_of(tmp_path, llama__attention__key_length=256, llama__attention__value_length=128)
    assert (header.key_length, header.value_length) == (256, 128)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"llama__pooling_type": 0}, "chat"),
        ({"llama__pooling_type": 1}, "embedding"),
        ({"llama__pooling_type": 3}, "embedding"),
        ({"llama__pooling_type": 4}, "reranker"),
        ({"general__architecture": "bert"}, "embedding"),
        ({"general__architecture": "bert", "bert__pooling_type": 4}, "reranker"),
        ({"general__architecture": "gemma-embedding"}, "embedding"),
        ({"general__architecture": "clip", "general__type": "mmproj"}, "projector"),
    ],
)
def test_tells_what_a_model_is_for(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    header = header_of(tmp_path, **changes)

    flags = {
        "embedding": header.is_embedding,
        "reranker": header.is_reranker,
        "projector": header.is_projector,
    }
    assert flags == {name: name == kind for name in flags}


@pytest.mark.parametrize("alignment", [8, 32, 64, 4096, 1024 * 1024])
def test_tensors_lie_at_multiples_of_the_alignment(tmp_path: Path, alignment: int) -> None:
    assert header_of(tmp_path, general__alignment=alignment).data_offset % alignment == 0


def test_the_padding_after_the_last_tensor_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(None, {"a": ((8,), 1)})[: -(32 - 16)])
    assert read_header(path).tensor_bytes == 16


def test_a_large_vocabulary_takes_little_memory(tmp_path: Path) -> None:
    tokens = [f"token{number}" for number in range(50_000)]
    path = write_gguf(tmp_path / "model.gguf", tiny_keys(tokenizer__ggml__tokens=tokens))

    assert _peak_memory_bytes(path) < 2 * 1024 * 1024
    assert read_header(path).cache.vocabulary_size == 50_000


def test_texts_that_cross_the_pieces_read_are_passed_whole(tmp_path: Path) -> None:
    sizes = random.Random(7)
    tokens = ["x" * sizes.choice([0, 1, 7, 900, 300_000]) for _ in range(60)]
    path = write_gguf(tmp_path / "model.gguf", {"a.tokens": tokens, **tiny_keys(), "b.tokens": tokens})
    assert read_header(path).name == "Tiny"


def test_shown_text_has_nothing_that_moves_a_terminal(tmp_path: Path) -> None:
    header = header_of(tmp_path, general__name="\x1b[2J evil\r\n" + "long" * 5000)
    assert header.name is not None
    assert header.name.isprintable()
    assert len(header.name) <= 200


def test_a_header_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        header_of(tmp_path).name = "other"  # type: ignore[misc]


# --- files that are not files ---------------------------------------------------------------------------


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "none.gguf")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert reason_of(tmp_path) == "It is not a regular file."


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
@pytest.mark.timeout(10)
def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert reason_of(tmp_path / "pipe.gguf") == "It is not a regular file."


# --- hostile files --------------------------------------------------------------------------------------

CORPUS = hostile_files()


def test_the_corpus_is_broad() -> None:
    assert len({hostile.name for hostile in CORPUS}) == len(CORPUS) >= 40


@pytest.mark.timeout(10)
@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_refuses(hostile: Hostile, tmp_path: Path) -> None:
    path = hostile.write(tmp_path / "hostile.gguf")
    began_s = time.thread_time()
    reason = reason_of(path)

    assert time.thread_time() - began_s < CPU_LIMIT_S
    assert hostile.says in reason
    assert reason.endswith(".")
    assert reason.isprintable()
    assert len(reason) < 250
    assert str(tmp_path) not in reason


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_refuses_in_little_memory(hostile: Hostile, tmp_path: Path) -> None:
    assert _peak_memory_bytes(hostile.write(tmp_path / "hostile.gguf")) < MEMORY_LIMIT_BYTES


def test_the_largest_tables_that_are_allowed_take_little_memory(tmp_path: Path) -> None:
    tensors = {f"blk.{number}.{'x' * 50}": ((8,), 0) for number in range(20_000)}
    keys = tiny_keys(**{f"k{number}": number for number in range(20_000)})
    path = write_gguf(tmp_path / "model.gguf", keys, tensors)
    assert _peak_memory_bytes(path) < MEMORY_LIMIT_BYTES


def _peak_memory_bytes(path: Path) -> int:
    tracemalloc.start()
    try:
        accepts(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def accepts(path: Path) -> bool:
    """Whether a file is read; any exception but GgufInvalid fails the test."""
    try:
        read_header(path)
    except GgufInvalid as error:
        assert error.reason == str(error)
        return False
    return True


# --- random files ---------------------------------------------------------------------------------------


@ONE_FILE
@given(
    body=st.binary(max_size=400), version=st.sampled_from([2, 3]), counts=st.tuples(*[st.integers(0, 5)] * 2)
)
def test_random_bytes_are_refused(tmp_path: Path, body: bytes, version: int, counts: tuple[int, int]) -> None:
    path = tmp_path / "random.gguf"
    path.write_bytes(
        b"GGUF" + version.to_bytes(4, "little") + b"".join(n.to_bytes(8, "little") for n in counts) + body
    )
    accepts(path)


EDGES = [
    0,
    1,
    7,
    8,
    9,
    31,
    32,
    127,
    128,
    255,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
]


@ONE_FILE
@given(
    edits=st.lists(
        st.tuples(
            st.floats(0, 1), st.sampled_from([1, 4, 8]), st.sampled_from(EDGES) | st.integers(0, 2**64 - 1)
        ),
        max_size=4,
    ),
    keep=st.floats(0, 1) | st.just(1.0),
)
def test_a_changed_header_is_read_or_refused(
    tmp_path: Path, edits: list[tuple[float, int, int]], keep: float
) -> None:
    raw = bytearray(gguf())
    head = len(raw) - 9000  # the rest is the tensors' data
    for place, width, value in edits:
        at = int(place * head)
        raw[at : at + width] = (value % 256**width).to_bytes(width, "little")
    path = tmp_path / "changed.gguf"
    path.write_bytes(raw[: int(len(raw) * keep)])
    accepts(path)


@ONE_FILE
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda name: "." not in name),
        st.text(max_size=20)
        | st.integers(0, 2**32 - 1)
        | st.booleans()
        | st.lists(st.integers(0, 255), max_size=9),
        max_size=9,
    )
)
def test_other_keys_change_nothing(tmp_path: Path, keys: dict[str, Any]) -> None:
    extended = read_header(write_gguf(tmp_path / "more.gguf", {**keys, **tiny_keys()}))
    plain = read_header(write_gguf(tmp_path / "plain.gguf"))
    sizes = {"data_offset": plain.data_offset, "file_bytes": plain.file_bytes}
    assert dataclasses.replace(extended, **sizes) == plain


# --- models in parts ------------------------------------------------------------------------------------


def test_a_model_in_one_file_is_that_file(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf")
    assert check_split(path) == [path]


def test_a_split_model_is_all_its_parts(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "model", 3)
    header, found = read_model(paths[0])

    assert found == paths == check_split(paths[0])
    assert (header.tensor_count, header.parameter_count) == (3, 3 * 64 * 64)
    assert header.file_bytes == sum(path.stat().st_size for path in paths)
    assert header.architecture == "llama"


def test_one_of_one_is_a_whole_model(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model-00001-of-00001.gguf")
    assert check_split(path) == [path]


def refused_parts(first: Path) -> str:
    with pytest.raises(GgufInvalid) as caught:
        check_split(first)
    return caught.value.reason


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "model", 3)
    paths[1].unlink()
    assert refused_parts(paths[0]) == "It is incomplete: part 2 of 3 is missing."


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "model", 3)
    os.truncate(paths[2], paths[2].stat().st_size - 500)
    assert refused_parts(paths[0]).startswith("Part 3 is damaged: It is truncated")


def test_parts_in_the_wrong_places_are_refused(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "model", 3)
    paths[1].write_bytes(paths[2].read_bytes())
    assert refused_parts(paths[0]) == "Part 2 of 3 claims to be another part, or of another model."


def test_a_part_of_a_model_with_another_count_is_refused(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "model", 2)
    other = write_split(tmp_path, "other", 3)
    paths[1].write_bytes(other[1].read_bytes())
    assert "another model" in refused_parts(paths[0])


def test_a_part_with_more_tensors_than_were_split_is_refused(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "model", 2)
    keys = {
        "split.no": Typed(U16, 1),
        "split.count": Typed(U16, 2),
        "split.tensors.count": Typed(I32, 2),
    }
    write_gguf(paths[1], keys)
    assert refused_parts(paths[0]) == "Its parts have 5 tensors in total instead of 2."


def test_the_first_part_is_the_way_in(tmp_path: Path) -> None:
    paths = write_split(tmp_path, "model", 2)
    assert "first part of a split model" in refused_parts(paths[1])


def test_a_part_under_another_name_is_refused(tmp_path: Path) -> None:
    path = write_split(tmp_path, "model", 2)[0].rename(tmp_path / "model.gguf")
    assert "does not say which" in refused_parts(path)


def test_a_name_that_claims_too_many_parts_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model-00001-of-99999.gguf")
    assert "first part of a split model" in refused_parts(path)


def test_whole_numbers_of_every_type_are_read(tmp_path: Path) -> None:
    for kind in (U8, U16, I32, U64):
        assert header_of(tmp_path, llama__context_length=Typed(kind, 100)).context_length == 100
