"""Searches the hub for repositories with GGUF files."""

from __future__ import annotations

from typing import Any

import anyio
from fastapi import APIRouter, Request

from foundrylocal.api.bodies import parse_body
from foundrylocal.api.describe import OF_A_BODY, OF_A_DOWNLOAD, describe_body, refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.catalog.memory import available_bytes
from foundrylocal.downloads.hub import queries as hub_queries
from foundrylocal.downloads.quantization import Choice
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.wire.search import SearchAnswer, SearchBody

router = APIRouter(prefix="/models", tags=["Model Management"])
# What loading takes beyond the file, as a share of it: an estimate, since the header is not here yet.
_BEYOND_FILE = 1.2


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
    free = await anyio.to_thread.run_sync(available_bytes)
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
    return {"repositories": repositories, "total_count": len(repositories)}


def _choice(choice: Choice, free: int) -> dict[str, Any]:
    size = choice.size_bytes
    return {
        "quantization": choice.quantization or "unknown",
        "files": [file.path for file in choice.files],
        "file_size_bytes": size,
        "file_size_formatted": None if size is None else format_bytes(size),
        "fits_memory": None if size is None else size * _BEYOND_FILE <= free,
    }
