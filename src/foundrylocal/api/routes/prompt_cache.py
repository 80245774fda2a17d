"""The prompt cache: what is saved for which model, and removing it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from foundrylocal.api.describe import refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.errors import ModelNotFound
from foundrylocal.kit.clock import format_time, now_s
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.pool.prompt_cache.saved_prompt import SavedPrompt
from foundrylocal.wire.prompt_cache import PromptCacheCleared, PromptCacheList

router = APIRouter(prefix="/prompt-cache", tags=["Prompt Cache"])


def _of_model(model_id: str, prompts: Sequence[SavedPrompt]) -> dict[str, Any]:
    size_bytes = sum(prompt.size_bytes for prompt in prompts)
    saved_at = max(prompt.saved_at for prompt in prompts)
    return {
        "model": model_id.rpartition("/")[2],
        "model_id": model_id,
        "prompts": len(prompts),
        "bytes": size_bytes,
        "bytes_formatted": format_bytes(size_bytes),
        "tokens": sum(prompt.tokens for prompt in prompts),
        "hits": sum(prompt.hits for prompt in prompts),
        "saved_at": format_time(saved_at),
        "last_used_at": format_time(max(prompt.used_at for prompt in prompts)),
        "age_seconds": max(0, round(now_s() - saved_at)),
    }


@router.get("", response_model=PromptCacheList, responses=refusals())
async def list_prompts(services: ServicesDep) -> Any:
    """The saved prompts by model; a prompt itself is never shown."""
    by_model: defaultdict[str, list[SavedPrompt]] = defaultdict(list)
    for prompt in services.prompt_cache.prompts():
        by_model[prompt.model_id].append(prompt)
    models = [_of_model(model_id, prompts) for model_id, prompts in sorted(by_model.items())]
    return {
        "models": models,
        "total_count": len(models),
        "total_bytes": sum(model["bytes"] for model in models),
        "limit_bytes": services.prompt_cache.limit_bytes,
        "keep": services.settings.current.prompt_cache_keep,
    }


def _cleared(removed: Sequence[SavedPrompt]) -> dict[str, Any]:
    freed_bytes = sum(prompt.size_bytes for prompt in removed)
    return {
        "success": True,
        "message": "Saved prompts removed" if removed else "No prompts are saved",
        "removed": len(removed),
        "freed_bytes": freed_bytes,
        "freed_formatted": format_bytes(freed_bytes),
    }


@router.delete("", response_model=PromptCacheCleared, responses=refusals())
async def clear(services: ServicesDep) -> Any:
    """Remove all saved prompts. Loaded models keep theirs in memory."""
    return _cleared(await services.prompt_cache.clear())


@router.delete("/{model_name:path}", response_model=PromptCacheCleared, responses=refusals(ModelNotFound))
async def clear_model(model_name: str, services: ServicesDep) -> Any:
    """Remove the saved prompts of one model. A loaded model keeps its own in memory."""
    model = services.server.resolve(model_name)
    return _cleared(await services.prompt_cache.clear(model.model_id))
