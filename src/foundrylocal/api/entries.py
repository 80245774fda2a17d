"""A model's entry in lists: what it is and needs, whether it is on disk and in memory.

Invariant: what is not known is null, or the word `unknown` in fields that the published API has as text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from foundrylocal.api.answers import encode
from foundrylocal.catalog.library import Stored
from foundrylocal.catalog.memory import estimate_from_size
from foundrylocal.catalog.purpose import purpose_of, tuning_of
from foundrylocal.catalog.registry import Model
from foundrylocal.catalog.shapes import ExpectedFiles, expected_files
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.pool.context_size import auto_context_bounds
from foundrylocal.wire.load_options import EffectiveOptions

MAX_CACHED_MODELS = 4096

# Most models of a large registry are neither on disk nor loaded, and their entries never change.
_idle_entries: dict[str, tuple[Model, msgspec.Raw]] = {}


def entry_of(model: Model, stored: Stored | None, loaded: set[str]) -> dict[str, Any]:
    """The entry of a model; `loaded` has the ids of the models in memory."""
    size = stored.size_bytes if stored else model.file_size_bytes
    least_bytes, default = memory_before_download(model)
    return {
        "model_id": model.model_id,
        "simple_name": model.simple_name,
        "kind": "adapter" if model.is_adapter else "model",
        "size": model.size or "unknown",
        "quantization": model.quantization or "unknown",
        # A loaded model counts as downloaded, even if its file is in a previous cache folder.
        "is_downloaded": stored is not None or model.model_id in loaded,
        "is_loaded": model.model_id in loaded,
        "file_size_bytes": size,
        "file_size_formatted": format_bytes(size) if size else "unknown",
        "family": model.family,
        "license": model.license,
        "context_length": model.context_length,
        "capabilities": list(model.capabilities),
        "purpose": purpose_of(model),
        "tuning": tuning_of(model),
        "languages": list(model.languages) if model.languages else None,
        "language_count": model.language_count,
        "needed_memory_bytes": least_bytes or (estimate_from_size(size).total_bytes if size else None),
        "default_memory": default,
    }


def idle_entry(model: Model) -> msgspec.Raw:
    """The entry of a model that is neither on disk nor in memory, encoded once."""
    cached = _idle_entries.get(model.model_id)
    if cached is None or cached[0] is not model:
        cached = _idle_entries[model.model_id] = (model, msgspec.Raw(encode(entry_of(model, None, set()))))
    return cached[1]


@lru_cache(MAX_CACHED_MODELS)
def memory_before_download(model: Model) -> tuple[int | None, dict[str, Any] | None]:
    """What a catalog model takes by its dimensions: bytes with the least context, and with that of `auto`.

    (None, None) for a model whose dimensions or size are not known.
    """
    expected = expected_files(model)
    if expected is None:
        return None, None
    header = expected.header
    is_single_batch = header.is_embedding or header.is_reranker
    least, most = auto_context_bounds(header.context_length, is_single_batch=is_single_batch)
    needed_bytes = _bytes_with(expected, most)
    default = {
        "context_size": most,
        "needed_bytes": needed_bytes,
        "needed_formatted": format_bytes(needed_bytes),
    }
    return _bytes_with(expected, least), default


def _bytes_with(expected: ExpectedFiles, context_size: int) -> int:
    return expected.estimate(EffectiveOptions.model_validate({"context_size": context_size})).total_bytes
