"""What is known of one model beyond its line in the list: its file's facts and the memory it takes."""

from __future__ import annotations

from typing import Any

import anyio

from foundrylocal.api.services import Services
from foundrylocal.catalog.gguf.read import GgufHeader, GgufInvalid, read_model
from foundrylocal.catalog.library import Stored
from foundrylocal.catalog.memory import estimate
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import ModelCorrupted
from foundrylocal.kit.clock import format_time
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.settings.schema import Settings

_FACTS = (
    "architecture",
    "name",
    "parameter_count",
    "context_length",
    "block_count",
    "head_count",
    "head_count_kv",
    "embedding_length",
    "quantization",
    "has_chat_template",
    "is_embedding",
    "is_reranker",
    "tensor_count",
)


async def of_model(ask: Services, model: Model) -> dict[str, Any]:
    """The details; a damaged file is told in `problem`, and is no error of the call."""
    replica = ask.server.pool.get(model)
    stored, header, problem = await anyio.to_thread.run_sync(_read, ask, model)
    settings = ask.settings.current
    memory = (
        _memory(header, stored, settings, await ask.server.pool.capacity(), replica is not None)
        if header is not None and stored is not None
        else None
    )
    return {
        "family": model.family,
        "license": model.license,
        "context_length": header.context_length if header else model.context_length,
        "capabilities": list(model.capabilities),
        "is_downloading": ask.downloads.is_downloading(model.model_id),
        "download_date": format_time(stored.downloaded_at) if stored else None,
        "loaded_at": format_time(replica.loaded_at) if replica else None,
        "gguf": {name: getattr(header, name) for name in _FACTS} if header else None,
        "memory": memory,
        "problem": problem,
    }


def _read(ask: Services, model: Model) -> tuple[Stored | None, GgufHeader | None, str | None]:
    try:
        stored = ask.library.check(model)
        return (stored, read_model(stored.model_path)[0], None) if stored else (None, None, None)
    except ModelCorrupted as error:
        return None, None, error.details
    except (GgufInvalid, OSError) as error:
        reason = str(error) if isinstance(error, GgufInvalid) else error.strerror
        return None, None, reason or "It cannot be read."


def _memory(
    header: GgufHeader, stored: Stored, settings: Settings, capacity_bytes: int, is_loaded: bool
) -> dict[str, Any]:
    context = min(settings.context_size, header.context_length or settings.context_size)
    needed = estimate(header, stored.size_bytes, context_size=context, parallel=settings.parallel)
    return {
        "context_size": context,
        "parallel": settings.parallel,
        "weights_bytes": needed.weights_bytes,
        "kv_cache_bytes": needed.kv_cache_bytes,
        "compute_bytes": needed.compute_bytes,
        "total_bytes": needed.total_bytes,
        "total_formatted": format_bytes(needed.total_bytes),
        "available_bytes": max(0, capacity_bytes),
        "fits_now": is_loaded or capacity_bytes >= needed.total_bytes,
    }
