"""Which model a request is for, and what of the gateway's paths goes to a worker."""

from __future__ import annotations

import msgspec

from foundrylocal.errors import InvalidJson, InvalidRequest

RELAYED = frozenset({"/tokenize", "/detokenize", "/apply-template"})


class _Peek(msgspec.Struct):
    """The one field that decides the route; the rest is the engine's."""

    model: str | None = None


_decoder = msgspec.json.Decoder(_Peek)


def is_relayed(path: str) -> bool:
    """Every path under /v1 and a few of the engine's own."""
    return path.startswith("/v1/") or path in RELAYED


def model_of(body: bytes) -> str | None:
    """The model that a JSON body names. Raises InvalidJson, InvalidRequest."""
    if not body:
        return None
    try:
        return _decoder.decode(body.removeprefix(b"\xef\xbb\xbf")).model or None
    except msgspec.ValidationError as error:
        raise InvalidRequest("The request is not valid", f"model: {error}", param="model") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidJson(f"{error}.") from None
