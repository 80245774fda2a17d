"""Routes: the gateway's requests: list, show, end."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from foundrylocal.api.access import may_manage
from foundrylocal.api.answers import encode
from foundrylocal.api.describe import refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.errors import InvalidRequest, ModelNotFound, RequestNotFound
from foundrylocal.wire.requests import RequestDetails, RequestEndedAnswer, RequestList, RequestStatus

router = APIRouter(tags=["Requests"])


@router.get("/requests", response_model=RequestList, responses=refusals(InvalidRequest, ModelNotFound))
async def list_requests(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    model: str | None = None,
    key: str | None = None,
    status: RequestStatus | None = None,
) -> Any:
    """Running and recent requests to the gateway with their figures, newest first; never their content."""
    model_id = services.server.resolve(model).model_id if model else None
    entries, total = services.gateway.activity.entries(limit, model_id, key or None, status)
    return {"requests": entries, "total_count": total}


@router.get("/requests/{request_id}", response_model=RequestDetails, responses=refusals(RequestNotFound))
async def show_request(request_id: str, request: Request, services: ServicesDep) -> Any:
    """One request; with its bodies if the setting capture_requests keeps them."""
    entry = services.gateway.activity.find(request_id)
    if entry is None:
        raise RequestNotFound(request_id[:100])
    capture = services.gateway.captures.get(request_id) if may_manage(request) else None
    body = {**entry, "captured": None if capture is None else capture.render()}
    return Response(encode(body), media_type="application/json", headers={"cache-control": "no-store"})


@router.delete(
    "/requests/{request_id}", response_model=RequestEndedAnswer, responses=refusals(RequestNotFound)
)
async def end_request(request_id: str, services: ServicesDep) -> Any:
    """End a running request; its client gets an error. It is no error if the request has ended already."""
    activity = services.gateway.activity
    if activity.end(request_id):
        message = "Request ended"
    elif activity.find(request_id) is not None:
        message = "Request has already ended"
    else:
        raise RequestNotFound(request_id[:100])
    return {"success": True, "message": message, "id": request_id}
