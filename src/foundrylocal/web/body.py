"""Request bodies: read completely within a limit, and parsed the way the published clients write them."""

from __future__ import annotations

import json
from typing import Any

import anyio

from foundrylocal.errors import InvalidJson, InvalidRequest, RequestTooLarge
from foundrylocal.web.asgi import Receive, Scope, headers_named

READ_TIMEOUT_S = 60.0
MAX_DEPTH = 32
MAX_LENGTH_DIGITS = 20
_BOM = b"\xef\xbb\xbf"


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """The complete body. Raises RequestTooLarge as early as possible, ClientGone, and InvalidRequest if it stalls."""
    for value in headers_named(scope, b"content-length"):
        if value.isdigit() and (len(value) > MAX_LENGTH_DIGITS or int(value) > limit_bytes):
            raise RequestTooLarge(limit_bytes)
    chunks: list[bytes] = []
    total = 0
    with anyio.move_on_after(READ_TIMEOUT_S):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            total += len(chunk)
            if total > limit_bytes:
                raise RequestTooLarge(limit_bytes)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)
    raise InvalidRequest(
        "The request body did not arrive in time", f"The limit is {READ_TIMEOUT_S:g} seconds."
    )


def parse_json(body: bytes) -> Any:
    """Parse JSON in UTF-8, with or without a byte-order mark.

    Raises InvalidJson, also for NaN, deep nesting, lone surrogates, and integers of more than 4,300 digits.
    """
    body = body.removeprefix(_BOM)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidJson("The body is not UTF-8.") from None
    if _depth(text) > MAX_DEPTH:
        raise InvalidJson(f"The body is nested deeper than {MAX_DEPTH} levels.")
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = (
            f"{error.msg} at line {error.lineno} column {error.colno}."
            if isinstance(error, json.JSONDecodeError)
            else str(error)
        )
        raise InvalidJson(reason) from None
    if "\\u" in text and _has_lone_surrogate(data):
        raise InvalidJson("The body contains a lone surrogate, which is not valid text.")
    return data


def _has_lone_surrogate(data: Any) -> bool:
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON.")


def _depth(text: str) -> int:
    """The deepest nesting of brackets outside strings; checked before the recursive parser runs."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    is_in_string = is_escaped = False
    for char in text:
        if is_in_string:
            if is_escaped:
                is_escaped = False
            elif char == "\\":
                is_escaped = True
            elif char == '"':
                is_in_string = False
        elif char == '"':
            is_in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest
