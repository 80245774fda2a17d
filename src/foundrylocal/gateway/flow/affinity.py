"""What the requests of one conversation have in common: how it opens, which the engine's cache may hold.

The opening is the messages up to the first one of the user, or the beginning of a prompt: later turns repeat it,
and other conversations differ in it, even those with the same system prompt. It only decides between replicas, so a
request whose opening cannot be read has none.
"""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.base import EngineRequest

# Of a prompt without messages: long enough to tell documents apart, short enough to be there in the first turn.
PROMPT_BYTES = 1024


class _Role(msgspec.Struct):
    role: str = ""


class _Opening(msgspec.Struct):
    messages: list[msgspec.Raw] = []
    prompt: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Opening).decode
_decode_role = msgspec.json.Decoder(_Role).decode


def opening_of(engine: EngineRequest) -> bytes:
    """The opening of the conversation that the request belongs to; empty when it belongs to none."""
    try:
        found = _decode(engine.body)
        messages: list[bytes] = []
        for message in found.messages:
            messages.append(bytes(message))
            if _decode_role(message).role == "user":
                break
    except msgspec.DecodeError:
        return b""
    return b"\n".join(messages) or bytes(found.prompt)[:PROMPT_BYTES]
