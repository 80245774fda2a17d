"""The gateway's routes as tests use them: with a store of responses of their own."""

from __future__ import annotations

from foundrylocal.gateway.dialects.responses.store import ResponseStore
from foundrylocal.gateway.routes import build_routes

RESPONSES = ResponseStore(lambda: 200)
ROUTES = build_routes(RESPONSES)
