"""The dimensions of the catalog's models: with them the memory of a model is known before its download.

Invariant: a shape says what the header of the file will say about memory, and nothing else. A model whose
architecture is not described here has no shape, and its memory is a lower bound. A test compares each shape with the
sizes of the published files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from foundrylocal.catalog.gguf.header import CacheShape, GgufHeader
from foundrylocal.catalog.memory import MemoryEstimate, estimate
from foundrylocal.catalog.registry import Model
from foundrylocal.wire.load_options import EffectiveOptions

_SHAPES = Path(__file__).with_name("shapes.json")


@dataclass(frozen=True, slots=True)
class ExpectedFiles:
    """A catalog model before its download: what its header will say, and the bytes of its files."""

    header: GgufHeader
    size_bytes: int

    def limit(self, context_tokens: int) -> int:
        """The context, cut to what the model has."""
        return min(context_tokens, self.header.context_length or context_tokens)

    def estimate(self, options: EffectiveOptions) -> MemoryEstimate:
        """The memory that a replica with these options will take."""
        return estimate(
            self.header,
            self.size_bytes,
            context_size=options.context_size,
            parallel=options.parallel,
            kv_cache_type=options.kv_cache_type,
        )


def expected_files(model: Model) -> ExpectedFiles | None:
    """What is known of a model that is not downloaded; None without its dimensions or the size of its files."""
    shape = _shapes().get(model.shape or "")
    if shape is None or not model.file_size_bytes:
        return None
    header = _header(shape, model.context_length, model.file_size_bytes)
    return ExpectedFiles(header, model.file_size_bytes)


@cache
def _shapes() -> Mapping[str, Mapping[str, Any]]:
    shapes: dict[str, dict[str, Any]] = json.loads(_SHAPES.read_bytes())
    return shapes


def _header(shape: Mapping[str, Any], context_length: int | None, file_bytes: int) -> GgufHeader:
    return GgufHeader(
        version=3,
        architecture=shape["architecture"],
        context_length=context_length,
        block_count=shape["layers"],
        embedding_length=shape["embedding_length"],
        head_count=shape["heads"],
        head_count_kv=shape["kv_heads"],
        key_length=shape["head_length"],
        value_length=shape["head_length"],
        is_embedding=shape.get("is_embedding", False),
        is_reranker=shape.get("is_reranker", False),
        tensor_bytes=file_bytes,
        file_bytes=file_bytes,
        cache=_cache_shape(shape),
    )


def _cache_shape(shape: Mapping[str, Any]) -> CacheShape:
    """The engine itself knows the pattern of a sliding window by the architecture."""
    return CacheShape(
        vocabulary_size=shape["vocabulary_size"],
        feed_forward_length=shape["feed_forward_length"],
        sliding_window=shape.get("sliding_window", 0),
    )
