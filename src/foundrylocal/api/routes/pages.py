"""Routes: the OpenAPI document and the offline page that renders it; neither needs the management key."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from foundrylocal.api.answers import json_answer

router = APIRouter(include_in_schema=False)
OPEN_PATHS = ("/", "/docs", "/openapi.json", "/docs.js", "/docs.css")
_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@cache
def _file(name: str) -> bytes:
    return resources.files("foundrylocal.ui").joinpath("docs", name).read_bytes()


async def _page(name: str) -> Response:
    kind = _KINDS[name.rpartition(".")[2]]
    body = await anyio.to_thread.run_sync(_file, name)
    return Response(body, media_type=f"{kind}; charset=utf-8", headers=_HEADERS)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    document: dict[str, Any] = request.app.openapi()
    return json_answer(document)


@router.get("/")
async def root() -> Response:
    """For a browser at the port's root."""
    return RedirectResponse("/docs", headers=_HEADERS)


@router.get("/docs")
async def docs() -> Response:
    return await _page("index.html")


@router.get("/docs.js")
async def script() -> Response:
    return await _page("docs.js")


@router.get("/docs.css")
async def style() -> Response:
    return await _page("docs.css")
