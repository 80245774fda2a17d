"""Routes: the dashboard at `/`, the API's description, and the pages that show it; none needs the management key.

Invariant: only files of the package `ui` are served, and a page can run and fetch nothing that is not from here.
Files are read when they are asked for and not kept, so that they cost an idle service nothing.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from foundrylocal.api.answers import json_answer
from foundrylocal.errors import EndpointNotFound

router = APIRouter(include_in_schema=False)
OPEN_PATHS = ("/", "/docs", "/openapi.json")
OPEN_PREFIX = "/ui/"
_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
# Segments without a dot, so that no name leads out of the package.
_FILE = re.compile(r"(?:[a-z0-9_-]{1,40}/){0,4}[a-z0-9_-]{1,40}\.(html|js|css|svg)")
_LOCAL_NAMES = ("127.0.0.1", "localhost")


def _policy(host: str) -> str:
    """The content security policy of a page that was asked for by this (checked) Host.

    A page may call its own port, and the gateway, whose port is a setting, under the same name.
    """
    name = host.rpartition(":")[0] or host
    names = [name] if name not in (*_LOCAL_NAMES, "[::1]") and not name.startswith("[") else []
    gateways = " ".join(f"http://{one}:*" for one in (*_LOCAL_NAMES, *names))
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {gateways}; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _read(name: str) -> bytes | None:
    file = resources.files("foundrylocal.ui").joinpath(*name.split("/"))
    return file.read_bytes() if file.is_file() else None


async def _file(request: Request, name: str) -> Response:
    """One file of the package, or 304 if the browser has it."""
    match = _FILE.fullmatch(name)
    body = await anyio.to_thread.run_sync(_read, name) if match else None
    if match is None or body is None:
        raise EndpointNotFound(request.method, request.url.path[:200])
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {
        "content-security-policy": _policy(request.headers["host"]),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cache-control": "no-cache",
        "etag": tag,
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=f"{_KINDS[match[1]]}; charset=utf-8", headers=headers)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    # The first call builds it, which takes longer than the event loop may be held.
    document: dict[str, Any] = await anyio.to_thread.run_sync(request.app.openapi)
    return json_answer(document)


@router.get("/")
async def root(request: Request) -> Response:
    """The dashboard; under the base path, the way to it."""
    if request.url.path != "/":
        return RedirectResponse("/")
    return await _file(request, "dashboard/index.html")


@router.get("/docs")
async def docs(request: Request) -> Response:
    return await _file(request, "docs/index.html")


@router.get("/ui/{name:path}")
async def static(name: str, request: Request) -> Response:
    return await _file(request, name)
