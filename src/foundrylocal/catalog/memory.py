"""How much memory a model will need on this machine, and how much there is.

Invariant: where the header leaves a choice to the engine, the estimate is too high rather than too low. It is for a
worker with a cache that all slots share (`kv_unified`), flash attention and batches of 512, or of
the whole context for embeddings, as llama.cpp of 2026-10 lays them out. The engine's prompt cache, which
grows with use, is not counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from foundrylocal.catalog.gguf.read import GgufHeader
from foundrylocal.catalog.gguf.types import SLIDING_WINDOW_PERIODS
from foundrylocal.wire.load_options import KvCacheType

_BATCH: Final = 512  # tokens the engine computes at once
_CELL_STEP: Final = 256  # caches are rounded up to this many tokens
_F16_BYTES: Final = 2
_F32_BYTES: Final = 4
# How the numbers of a cache are stored: so many of them in so many bytes.
CACHE_BLOCKS: Final[dict[KvCacheType, tuple[int, int]]] = {"f16": (1, 2), "q8_0": (32, 34), "q4_0": (32, 18)}

# The interpreter with the engine's library (24 MB measured) and the engine's own tables. Estimates for models
# of 135 and 268 million parameters are 5 to 13 % above the resident memory of a worker with them.
_PROCESS_BYTES: Final = 40 * 1024 * 1024
_BYTES_FOR_TOKEN_TEXT: Final = 256

# These see all of a text at once and keep nothing between steps.
_WITHOUT_CACHE: Final = frozenset(
    {
        "bert",
        "clip",
        "dream",
        "eurobert",
        "jina-bert-v2",
        "jina-bert-v3",
        "llada",
        "llada-moe",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "rnd1",
        "t5encoder",
    }
)
_WITHOUT_ATTENTION: Final = frozenset({"arwkv7", "mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7"})


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that a loaded model takes: its file, what it keeps of the context, and the rest."""

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_cache_bytes + self.compute_bytes


def estimate(
    header: GgufHeader,
    file_bytes: int,
    *,
    context_size: int,
    parallel: int,
    kv_cache_type: KvCacheType = "f16",
) -> MemoryEstimate:
    """What a worker will take, in bytes, with `context_size` tokens shared by `parallel` slots.

    `file_bytes` is all files of the model together. A `context_size` of 0 is the model's own.
    """
    tokens = context_size or header.context_length or _CELL_STEP
    cells = _round_up(max(tokens, 1), _CELL_STEP)
    slots = max(parallel, 1)
    return MemoryEstimate(
        weights_bytes=file_bytes,
        kv_cache_bytes=_cache_bytes(header, cells, slots, kv_cache_type),
        compute_bytes=_compute_bytes(header, cells, slots),
    )


def estimate_from_size(file_bytes: int) -> MemoryEstimate:
    """The least that a model of that size takes, for one whose header is not on disk yet: no cache is counted."""
    return MemoryEstimate(weights_bytes=file_bytes, kv_cache_bytes=0, compute_bytes=_PROCESS_BYTES)


def available_bytes(
    *,
    membership: Path = Path("/proc/self/cgroup"),
    groups: Path = Path("/sys/fs/cgroup"),
) -> int:
    """Memory that a new process can have without swapping: the machine's, or a control group's if less.

    `membership` and `groups` are where Linux tells of control groups of version 2; they are absent elsewhere.
    """
    free = psutil.virtual_memory().available
    return min([free, *_group_limits(membership, groups)])


def _cache_bytes(header: GgufHeader, cells: int, slots: int, kv_cache_type: KvCacheType) -> int:
    if header.architecture in _WITHOUT_CACHE or not header.block_count:
        return 0
    layers = header.block_count
    sliding_cells = _sliding_cells(header, cells, slots)
    numbers = 0
    has_cache = [_keeps_context(header, layer) for layer in range(layers)]
    for layer in range(layers):
        if has_cache[layer] and layer < layers - _shared_layers(header):
            numbers += _layer_numbers(header, layer, cells, sliding_cells)
    elements, block_bytes = CACHE_BLOCKS[kv_cache_type]
    cache_bytes = -(-numbers // elements) * block_bytes
    state_layers = has_cache.count(False) or layers
    return cache_bytes + state_layers * slots * _state_bytes(header)


def _layer_numbers(header: GgufHeader, layer: int, cells: int, sliding_cells: int) -> int:
    """How many numbers one layer keeps of the context."""
    key, value = header.key_length or 0, header.value_length or 0
    if _is_sliding(header, layer):
        cells = sliding_cells
        key = header.cache.key_length_sliding or key
        value = header.cache.value_length_sliding or value
    heads = _of_layer(header.head_count_kv, layer) or 0
    return cells * heads * (key + value)


def _sliding_cells(header: GgufHeader, cells: int, slots: int) -> int:
    # The engine keeps a window for each slot and one batch, and never more than the whole context.
    wanted = header.cache.sliding_window * slots + (cells if header.is_embedding else _BATCH)
    return _round_up(min(cells, wanted), _CELL_STEP)


def _is_sliding(header: GgufHeader, layer: int) -> bool:
    """False wherever neither the file nor the engine's own table says which layers have a window."""
    pattern = header.cache.sliding_window_pattern
    if pattern is None:
        pattern = SLIDING_WINDOW_PERIODS.get(header.architecture)
    if not header.cache.sliding_window or pattern is None:
        return False
    if isinstance(pattern, tuple):
        return bool(_of_layer(pattern, layer))
    return pattern == 0 or layer % pattern < pattern - 1


def _keeps_context(header: GgufHeader, layer: int) -> bool:
    """Whether a layer has attention; the others keep a state of fixed size, or nothing."""
    if header.architecture in _WITHOUT_ATTENTION or not _of_layer(header.head_count_kv, layer):
        return False
    shape = header.cache
    if isinstance(shape.recurrent_layers, tuple):
        return not _of_layer(shape.recurrent_layers, layer)
    interval = shape.full_attention_interval
    return interval < 2 or (layer + 1) % interval == 0


def _shared_layers(header: GgufHeader) -> int:
    """How many of the last layers use the cache of an earlier one."""
    return min(header.cache.shared_kv_layers, header.block_count or 0)


def _state_bytes(header: GgufHeader) -> int:
    """What one layer without attention keeps for one slot, in 32-bit numbers."""
    shape, embedding = header.cache, header.embedding_length or 0
    heads = _largest(header.head_count)
    if shape.wkv_head_size:
        numbers = embedding * (shape.wkv_head_size + (shape.token_shift_count or 2))
    elif shape.shortconv_length:
        numbers = embedding * (shape.shortconv_length - 1)
    elif shape.kda_head_size:
        inner = heads * shape.kda_head_size
        numbers = 3 * max(shape.ssm_conv_kernel - 1, 0) * inner + shape.kda_head_size * inner
    else:
        channels = shape.ssm_inner_size + 2 * shape.ssm_group_count * shape.ssm_state_size
        numbers = max(shape.ssm_conv_kernel - 1, 0) * channels + shape.ssm_state_size * shape.ssm_inner_size
    return numbers * _F32_BYTES


def _compute_bytes(header: GgufHeader, cells: int, slots: int) -> int:
    # An embedding needs its whole text in one batch.
    batch = cells if header.is_embedding or header.is_reranker else min(_BATCH, cells)
    shape = header.cache
    # Measured: 14.6 MB beside the mask for rows of 576 and 1536; five of one and three of the other fit.
    width = 5 * (header.embedding_length or 0) + 3 * shape.feed_forward_length
    heads = _largest(header.head_count) * max(header.key_length or 0, header.value_length or 0)
    activations = batch * (width + heads) * _F32_BYTES
    mask = batch * cells * _F16_BYTES
    answers = slots * shape.vocabulary_size * _F32_BYTES
    return activations + mask + answers + shape.vocabulary_size * _BYTES_FOR_TOKEN_TEXT + _PROCESS_BYTES


def _of_layer(numbers: int | tuple[int, ...] | None, layer: int) -> int | None:
    """A layer's own number; the largest where the list is too short, so as not to guess low."""
    if not isinstance(numbers, tuple):
        return numbers
    return numbers[layer] if layer < len(numbers) else max(numbers, default=0)


def _largest(numbers: int | tuple[int, ...] | None) -> int:
    return max(numbers, default=0) if isinstance(numbers, tuple) else numbers or 0


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step


def _group_limits(membership: Path, groups: Path) -> Iterator[int]:
    """What this process's control group and each one around it leave free; nothing where there are none."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in membership.read_text().splitlines():
            if line.startswith("0::/"):
                group = groups / line.removeprefix("0::/")
                while group == groups or groups in group.parents:
                    yield from _group_limit(group)
                    group = group.parent


def _group_limit(group: Path) -> Iterator[int]:
    # "max", a file that is missing at the top, and anything unreadable all mean: no limit here.
    with contextlib.suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        yield max(limit - used + _reclaimable_bytes(group), 0)


def _reclaimable_bytes(group: Path) -> int:
    """File contents kept only because there was room, a model file read for its checksum for example."""
    with contextlib.suppress(OSError, ValueError):
        for line in (group / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file":
                return int(value)
    return 0
