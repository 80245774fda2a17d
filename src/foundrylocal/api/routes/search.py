"""Searches the hub for repositories with GGUF files."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from foundrylocal.api.bodies import parse_body
from foundrylocal.api.describe import OF_A_BODY, OF_A_DOWNLOAD, describe_body, refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.catalog.memory import estimate_from_size
from foundrylocal.downloads.hub import queries as hub_queries
from foundrylocal.downloads.hub.choices import Choice
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.wire.search import SearchAnswer, SearchBody

router = APIRouter(prefix="/models", tags=["Model Management"])


@router.post(
    "/search",
    response_model=SearchAnswer,
    responses=refusals(*OF_A_BODY, *OF_A_DOWNLOAD),
    openapi_extra=describe_body(SearchBody),
)
async def search(request: Request, services: ServicesDep) -> Any:
    """Repositories on the hub with GGUF files: their quantizations, sizes, and whether each fits now."""
    body = await parse_body(request, SearchBody)
    hosts = services.settings.current.hub_allowed_hosts
    found = await hub_queries.search(body.query, limit=body.limit, allowed_hosts=hosts)
    free = await services.planner.free_bytes()
    repositories = [
        {
            "repo": one.repo,
            "revision": one.revision,
            "license": one.license,
            "downloads": one.downloads,
            "is_gated": one.is_gated,
            "choices": [_choice(choice, free) for choice in one.choices],
        }
        for one in found
    ]
    return {
        "repositories": repositories,
        "total_count": len(repositories),
        "free_memory_bytes": max(0, free),
    }


def _choice(choice: Choice, free: int) -> dict[str, Any]:
    size = choice.size_bytes
    # The header is not here yet: as for every plan of a model that is not downloaded, this is a lower bound.
    needed = None if size is None else estimate_from_size(size).total_bytes
    return {
        "quantization": choice.quantization or "unknown",
        "files": [file.path for file in choice.files],
        "file_size_bytes": size,
        "file_size_formatted": None if size is None else format_bytes(size),
        "needed_memory_bytes": needed,
        "fits_memory": None if needed is None else needed <= free,
    }
