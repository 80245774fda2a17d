"""Turns the keys and the tensor table of a GGUF into the facts that the rest of the program uses.

Invariant: a fact is a checked value of the right type and range, or None if the file does not state it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from foundrylocal.catalog.file_names import MAY_BE_WHOLE, FileKind, kind_of
from foundrylocal.catalog.gguf.bytes import GgufInvalid, readable
from foundrylocal.catalog.gguf.metadata import LAYER_LIMIT, Metadata
from foundrylocal.catalog.gguf.tensors import TensorTable
from foundrylocal.catalog.gguf.types import (
    ENCODER_ARCHITECTURES,
    FILE_TYPES,
    GUESSED_FILE_TYPE,
    POOLING_NONE,
    POOLING_RANK,
    PROJECTOR_ARCHITECTURE,
)

_KINDS: Final = {"adapter": FileKind.ADAPTER, "mmproj": FileKind.PROJECTOR}
_SAMPLING_KEYS: Final = {
    "temp": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "penalty_repeat": "repeat_penalty",
}
_ARCHITECTURE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Further facts that decide the memory of a context; a number is 0 if the file does not state it."""

    vocabulary_size: int = 0
    feed_forward_length: int = 0
    sliding_window: int = 0
    sliding_window_pattern: int | tuple[int, ...] | None = None
    key_length_sliding: int = 0
    value_length_sliding: int = 0
    shared_kv_layers: int = 0
    full_attention_interval: int = 0
    recurrent_layers: int | tuple[int, ...] | None = None
    ssm_conv_kernel: int = 0
    ssm_group_count: int = 0
    ssm_inner_size: int = 0
    ssm_state_size: int = 0
    wkv_head_size: int = 0
    token_shift_count: int = 0
    shortconv_length: int = 0
    kda_head_size: int = 0


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The facts of one file, or of all parts of one model; lengths are in values, sizes in bytes.

    `architecture` is empty only for a part after the first. A number is None if the file does not state it. A tuple
    has one number for each layer. `is_embedding` and `is_reranker` exclude each other.
    """

    version: int
    architecture: str
    kind: str | None = None  # general.type, such as model, adapter or mmproj
    name: str | None = None
    parameter_count: int = 0
    context_length: int | None = None
    block_count: int | None = None
    embedding_length: int | None = None
    head_count: int | tuple[int, ...] | None = None
    head_count_kv: int | tuple[int, ...] | None = None
    key_length: int | None = None
    value_length: int | None = None
    quantization: str | None = None
    has_chat_template: bool = False
    is_embedding: bool = False
    is_reranker: bool = False
    is_projector: bool = False
    split_no: int = 0
    split_count: int = 0
    split_tensor_count: int | None = None
    tensor_count: int = 0
    data_offset: int = 0
    tensor_bytes: int = 0
    file_bytes: int = 0
    cache: CacheShape = CacheShape()
    original_context_length: int | None = None  # before it was trained for a longer one
    sampling: tuple[tuple[str, float], ...] = ()
    """Sampling values that the file recommends, by the names of the request fields; the engine uses them itself."""
    mtp_layers: int = 0  # layers that predict further tokens (MTP heads), for speculative decoding

    @property
    def auxiliary_kind(self) -> FileKind | None:
        """What the file is if it only works together with a model; None for a model."""
        if self.is_projector:
            return FileKind.PROJECTOR
        if self.kind is not None and (kind := _KINDS.get(self.kind.casefold())) is not None:
            return kind
        by_architecture = kind_of(self.architecture)
        return by_architecture if by_architecture in MAY_BE_WHOLE else None


def describe(
    version: int, metadata: Metadata, tensors: TensorTable, data_offset: int, size_bytes: int
) -> GgufHeader:
    """The facts of one file; raises GgufInvalid if a key has the wrong type or contradicts another."""
    kind = _kind(metadata)
    split_no, split_count = _split(metadata, tensors)
    arch = _architecture(metadata, is_later_part=split_no > 0)
    heads = metadata.numbers(f"{arch}.attention.head_count")
    heads_kv = metadata.numbers(f"{arch}.attention.head_count_kv")
    embedding_length = metadata.number(f"{arch}.embedding_length")
    by_head = _per_head(embedding_length, heads)
    pooling = metadata.number(f"{arch}.pooling_type")
    is_reranker = pooling == POOLING_RANK
    is_encoder = arch in ENCODER_ARCHITECTURES or pooling not in (None, POOLING_NONE)
    return GgufHeader(
        version=version,
        architecture=arch,
        kind=kind,
        name=_shown(metadata.text("general.name"), 200),
        parameter_count=tensors.parameter_count,
        context_length=_context_length(metadata, arch),
        original_context_length=metadata.number(f"{arch}.rope.scaling.original_context_length"),
        block_count=_block_count(metadata, arch),
        embedding_length=embedding_length,
        head_count=heads,
        head_count_kv=heads if heads_kv is None else heads_kv,
        key_length=metadata.number(f"{arch}.attention.key_length") or by_head,
        value_length=metadata.number(f"{arch}.attention.value_length") or by_head,
        quantization=_quantization(metadata, tensors),
        has_chat_template=metadata.length("tokenizer.chat_template") > 0,
        is_embedding=is_encoder and not is_reranker,
        is_reranker=is_reranker,
        is_projector=arch == PROJECTOR_ARCHITECTURE or kind == "mmproj",
        split_no=split_no,
        split_count=split_count,
        split_tensor_count=metadata.number("split.tensors.count"),
        tensor_count=tensors.count,
        data_offset=data_offset,
        tensor_bytes=tensors.data_bytes,
        file_bytes=size_bytes,
        cache=_cache_shape(metadata, arch),
        sampling=_sampling(metadata),
        mtp_layers=metadata.number(f"{arch}.nextn_predict_layers") or 0,
    )


def _kind(metadata: Metadata) -> str | None:
    """The file's `general.type`; an importance matrix has no further facts, not even an architecture."""
    kind = _shown(metadata.text("general.type"), 60)
    if kind is not None and kind.casefold() == "imatrix":
        raise GgufInvalid("It is an importance matrix, not a model.")
    return kind


def _split(metadata: Metadata, tensors: TensorTable) -> tuple[int, int]:
    """Which part the file is, counted from 0, and of how many; 0 of 0 for a whole model."""
    number, count = metadata.number("split.no") or 0, metadata.number("split.count") or 0
    if number >= max(count, 1):
        raise GgufInvalid(f"It claims to be part {number + 1} of {count}.")
    if tensors.count == 0 and count < 2:
        raise GgufInvalid("It has no tensors.")
    return number, count


def _shown(text: str | None, limit: int) -> str | None:
    return readable(text.encode(), limit) if text else None


def _block_count(metadata: Metadata, arch: str) -> int | None:
    count = metadata.number(f"{arch}.block_count")
    if count is not None and count > LAYER_LIMIT:
        raise GgufInvalid(f"It claims {count} layers.")
    return count


def _context_length(metadata: Metadata, arch: str) -> int | None:
    tokens = metadata.number(f"{arch}.context_length")
    if tokens == 0:
        raise GgufInvalid("It claims a context of 0 tokens, so that no request could be answered.")
    return tokens


def _architecture(metadata: Metadata, *, is_later_part: bool) -> str:
    arch = metadata.text("general.architecture")
    if arch is None and is_later_part:
        return ""
    if arch is None:
        raise GgufInvalid("It does not state its architecture.")
    if not _ARCHITECTURE.fullmatch(arch):
        raise GgufInvalid(f"Its architecture '{readable(arch.encode())}' is not a valid name.")
    return arch


def _per_head(embedding_length: int | None, heads: int | tuple[int, ...] | None) -> int | None:
    """The engine's rule if a file states no length: the embedding is divided among the heads."""
    count = max(heads, default=0) if isinstance(heads, tuple) else heads
    return embedding_length // count if embedding_length and count else None


def _quantization(metadata: Metadata, tensors: TensorTable) -> str | None:
    number = metadata.number("general.file_type")
    named = None if number is None else FILE_TYPES.get(number & ~GUESSED_FILE_TYPE)
    return named or tensors.most_used_type


def _sampling(metadata: Metadata) -> tuple[tuple[str, float], ...]:
    found = ((name, metadata.real_number(f"general.sampling.{key}")) for key, name in _SAMPLING_KEYS.items())
    return tuple((name, round(value, 6)) for name, value in found if value is not None)


def _cache_shape(metadata: Metadata, arch: str) -> CacheShape:
    def number(key: str) -> int:
        return metadata.number(f"{arch}.{key}") or 0

    def longest(key: str) -> int:
        value = metadata.numbers(f"{arch}.{key}")
        return max(value, default=0) if isinstance(value, tuple) else value or 0

    return CacheShape(
        vocabulary_size=metadata.length("tokenizer.ggml.tokens") or number("vocab_size"),
        feed_forward_length=max(
            longest("feed_forward_length"),
            longest("expert_feed_forward_length") * number("expert_used_count"),
        ),
        sliding_window=number("attention.sliding_window"),
        sliding_window_pattern=metadata.numbers(f"{arch}.attention.sliding_window_pattern"),
        key_length_sliding=number("attention.key_length_swa"),
        value_length_sliding=number("attention.value_length_swa"),
        shared_kv_layers=number("attention.shared_kv_layers"),
        full_attention_interval=number("full_attention_interval"),
        recurrent_layers=metadata.numbers(f"{arch}.attention.recurrent_layers"),
        ssm_conv_kernel=number("ssm.conv_kernel"),
        ssm_group_count=number("ssm.group_count"),
        ssm_inner_size=number("ssm.inner_size"),
        ssm_state_size=number("ssm.state_size"),
        wkv_head_size=number("wkv.head_size"),
        token_shift_count=number("token_shift_count"),
        shortconv_length=number("shortconv.l_cache"),
        kda_head_size=number("kda.head_dim"),
    )
