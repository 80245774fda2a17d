"""API keys: read from request headers and compared in constant time."""

from __future__ import annotations

import hmac

from foundrylocal.web.asgi import Scope, headers_named


def key_of(scope: Scope) -> bytes | None:
    """The Bearer key, or the one in `x-api-key`; None when there is none."""
    for value in headers_named(scope, b"authorization"):
        scheme, _, key = value.partition(b" ")
        if scheme.lower() == b"bearer" and key.strip():
            return key.strip()
    for value in headers_named(scope, b"x-api-key"):
        if value.strip():
            return value.strip()
    return None


def has_key(scope: Scope, expected: str) -> bool:
    """Whether the request carries exactly that key."""
    return hmac.compare_digest(key_of(scope) or b"", expected.encode())
