"""Routes: the gateway's further keys: list, create, revoke."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from foundrylocal.api.answers import encode
from foundrylocal.api.bodies import parse_body
from foundrylocal.api.describe import OF_A_BODY, describe_body, refusals
from foundrylocal.api.services import Services, ServicesDep
from foundrylocal.errors import InvalidRequest, ModelNotFound
from foundrylocal.keys.api_key import RESERVED_NAMES, ApiKey, KeyScope
from foundrylocal.keys.errors import KeyExists, KeyNotFound, KeysNotSaved, TooManyKeys
from foundrylocal.kit.clock import format_time, now_s
from foundrylocal.wire.keys import KeyBody, KeyCreated, KeyList, KeyRevoked

router = APIRouter(tags=["Keys"])


@router.get("/keys", response_model=KeyList, responses=refusals())
async def list_keys(services: ServicesDep) -> Any:
    """The gateway's keys with their rules and what they have used, never the keys themselves."""
    entries = [_entry(services, key) for key in services.keyring.all()]
    return {"keys": entries, "total_count": len(entries)}


@router.post(
    "/keys",
    response_model=KeyCreated,
    openapi_extra=describe_body(KeyBody),
    responses=refusals(*OF_A_BODY, ModelNotFound, KeyExists, TooManyKeys, KeysNotSaved),
)
async def add_key(request: Request, services: ServicesDep) -> Any:
    """Create a key for a person or a program. This answer is the only one that ever holds the key."""
    draft = _draft(await parse_body(request, KeyBody), services)
    key, secret = await services.keyring.add(draft)
    message = f"Key '{key.name}' created. Copy it now: it is not shown again."
    body = {"success": True, "message": message, "key": secret, **_entry(services, key)}
    return Response(encode(body), media_type="application/json", headers={"cache-control": "no-store"})


@router.delete("/keys/{name}", response_model=KeyRevoked, responses=refusals(KeyNotFound, KeysNotSaved))
async def remove_key(name: str, services: ServicesDep) -> Any:
    """Revoke a key. It is refused from now on, and its running requests end with an error."""
    await services.keyring.remove(name)
    return {"success": True, "message": f"Key '{name}' revoked", "name": name}


def _draft(body: KeyBody, services: Services) -> ApiKey:
    """The requested key, before it has a secret. Raises InvalidRequest, ModelNotFound."""
    if body.name.lower() in RESERVED_NAMES:
        raise InvalidRequest(
            "The request is not valid", f"name: '{body.name}' is reserved. Choose another name."
        )
    if body.expires_at_s is not None and body.expires_at_s <= now_s():
        raise InvalidRequest("The request is not valid", "expires_at: must be in the future")
    # Ids, so that the key goes on meaning the same models when an alias changes.
    models = None if body.models is None else [services.server.resolve(name).model_id for name in body.models]
    return ApiKey(
        name=body.name,
        secret_sha256="",
        created_at_s=0.0,
        scope=KeyScope(body.scope),
        models=None if models is None else tuple(dict.fromkeys(models)),
        requests_per_minute=body.requests_per_minute,
        tokens_per_day=body.tokens_per_day,
        expires_at_s=body.expires_at_s,
    )


def _entry(services: Services, key: ApiKey) -> dict[str, Any]:
    requests, tokens, last_used_s = services.keyring.used(key.name)
    return {
        "name": key.name,
        "scope": key.scope.value,
        "models": None if key.models is None else list(key.models),
        "requests_per_minute": key.requests_per_minute,
        "tokens_per_day": key.tokens_per_day,
        "expires_at": None if key.expires_at_s is None else format_time(key.expires_at_s),
        "created_at": format_time(key.created_at_s),
        "last_used_at": None if last_used_s is None else format_time(last_used_s),
        "requests_last_minute": requests,
        "tokens_today": tokens,
    }
