"""A whole text completion of the engine completed to what the published schema requires."""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.events import without_cut_character
from foundrylocal.gateway.dialects.ids import with_prefix
from foundrylocal.gateway.dialects.logprobs import tokens_of_text
from foundrylocal.gateway.dialects.openai_text.shapes import CompletionBody

ID_PREFIX = "cmpl-"


def complete_text(answer: Json, body: CompletionBody) -> Json:
    """The answer with its own kind of id and the older shape of logprobs."""
    answer["id"] = with_prefix(ID_PREFIX, answer.get("id"))
    for choice in answer["choices"]:
        choice["text"] = without_cut_character(choice["text"], choice.get("finish_reason"))
        given = choice.get("logprobs")
        if given and given.get("content") is not None:
            given = {"content": tokens_of_text(given["content"], choice["text"])}
        choice["logprobs"], _ = text_logprobs(given, 0, body)
    return answer


def text_logprobs(given: Json | None, offset: int, body: CompletionBody) -> tuple[Json | None, int]:
    """The older shape of logprobs, by columns; `offset` is where in the text its first token begins."""
    if not given or given.get("content") is None:
        return None, offset
    columns: Json = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for one in given["content"]:
        columns["tokens"].append(one["token"])
        columns["token_logprobs"].append(one["logprob"])
        tops = one.get("top_logprobs", ())[: body.logprobs or 0]
        columns["top_logprobs"].append({top["token"]: top["logprob"] for top in tops})
        columns["text_offset"].append(offset)
        offset += len(one["token"])
    return columns, offset
