"""Texts to embed that are longer than the model's context, cut to it for requests that ask for that.

Only the engine can cut: it makes tokens of the text and embeds the first of them. Invariant: a text that fits is sent
as it is, and a special token at the end of a text stays at its end.
"""

from __future__ import annotations

from dataclasses import replace

import anyio
import msgspec

from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable, ask
from foundrylocal.engine.replica import Address
from foundrylocal.gateway.flow.relay import why_unsent
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.pool.roster import Replica

TOKENIZE_TIMEOUT_S = 60.0
# What a model puts around a text at most.
_SPECIAL_TOKENS = 2


class _Tokens(msgspec.Struct):
    tokens: list[int] = []


async def cut_to_context(replica: Replica, request: InferenceRequest) -> None:
    """Replace the texts of the request that are too long by their first tokens.

    Raises NothingSent when the worker is gone, SystemExhausted when the service could not ask.
    """
    limit = replica.spec.context_size
    texts = request.body.texts_to_cut
    # A token is one byte of the text at least.
    long = [number for number, text in enumerate(texts) if len(text.encode()) + _SPECIAL_TOKENS > limit]
    if not long:
        return
    fitted: list[str | list[int]] = [*texts]
    for number in long:
        fitted[number] = await _cut(replica.address, texts[number], limit)
    fields = msgspec.json.decode(request.engine.body)
    request.engine = replace(request.engine, body=msgspec.json.encode({**fields, "input": fitted}))


async def _cut(address: Address, text: str, limit: int) -> str | list[int]:
    tokens = await _tokenize(address, text, add_special=True)
    if len(tokens) <= limit:
        return text
    plain = await _tokenize(address, text, add_special=False)
    has_end = bool(plain) and tokens[-1] != plain[-1]
    return [*tokens[: limit - 1], tokens[-1]] if has_end else tokens[:limit]


async def _tokenize(address: Address, text: str, *, add_special: bool) -> list[int]:
    """The tokens of a text; none when the engine cannot tell, which then reports the problem itself."""
    payload = msgspec.json.encode({"content": text, "add_special": add_special})
    try:
        with anyio.fail_after(TOKENIZE_TIMEOUT_S):
            async with ask(address, "/tokenize", payload) as answer:
                raw = await answer.read()
                return msgspec.json.decode(raw, type=_Tokens).tokens if answer.status == 200 else []
    except WorkerUnreachable as error:
        raise why_unsent(error) from error
    except (AnswerBroken, TimeoutError, msgspec.DecodeError):
        return []
