"""Route: /v1/models at the root of the management port, the downloaded models in OpenAI's format."""

from __future__ import annotations

from typing import Any

import anyio
from fastapi import APIRouter

from foundrylocal.api.answers import json_answer
from foundrylocal.api.describe import refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.wire.models import OpenAIModelList

router = APIRouter(tags=["OpenAI Compatibility"])


@router.get("/v1/models", response_model=OpenAIModelList, responses=refusals())
async def list_openai_models(services: ServicesDep) -> Any:
    """Downloaded models only, since OpenAI lists only models that can be used; adapters are none."""
    adapters = {model.model_id for model in services.registry.all() if model.is_adapter}
    stored = await anyio.to_thread.run_sync(services.library.all)
    body = {
        "object": "list",
        "data": [
            {
                "id": one.model_id,
                "object": "model",
                "created": int(one.downloaded_at),
                "owned_by": "foundry-local",
            }
            for one in stored
            if one.model_id not in adapters
        ],
    }
    return json_answer(body)
