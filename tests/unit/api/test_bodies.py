"""Request bodies that are not what a route takes, in the words of JSON."""

from __future__ import annotations

import anyio
import pytest
from fastapi import Request

from foundrylocal.api.bodies import json_object
from foundrylocal.errors import InvalidRequest
from foundrylocal.web.asgi import Message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[]", "an array"),
        (b"null", "null"),
        (b"true", "a boolean"),
        (b'"x"', "a string"),
        (b"1", "a number"),
        (b"1.5", "a number"),
    ],
)
def test_what_is_no_object_is_named(body: bytes, kind: str) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    with pytest.raises(InvalidRequest) as refused:
        anyio.run(json_object, Request({"type": "http", "headers": []}, receive))
    assert refused.value.details == f"body: got {kind}."
