"""The OpenAPI document as code generators read it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from foundrylocal.api import openapi
from foundrylocal.api.app import ROUTERS


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    app = FastAPI(title="FoundryLocal API", version="0")
    for prefix, router in ROUTERS:
        app.include_router(router, prefix=prefix)
    openapi.install(app)
    return app.openapi()


def test_no_field_has_a_default_that_would_make_generators_require_it(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            assert "default" not in described, (name, field)


def test_a_start_needs_a_model_name_and_nothing_else(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["StartBody"]["required"] == ["model_name"]
    assert "required" not in schemas["StartOptions"]
    assert schemas["StartOptions"]["properties"]["timeout_seconds"]["description"].endswith("Default: 180.")
