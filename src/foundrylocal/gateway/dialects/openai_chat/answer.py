"""A whole chat answer of the engine completed to what the published schema requires, nullable fields included."""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.logprobs import tokens_of_text, without_empty_end
from foundrylocal.gateway.dialects.openai_chat.shapes import ChatBody


def complete_chat(answer: Json, body: ChatBody) -> Json:
    """The answer with the fields that are missing."""
    for choice in answer["choices"]:
        message = choice["message"]
        message.setdefault("content", None)
        message.setdefault("refusal", None)
        message.setdefault("annotations", [])
        choice["logprobs"] = chat_logprobs(_tokens_of(choice, body), body)
    return answer


def _tokens_of(choice: Json, body: ChatBody) -> Json | None:
    """The logprobs of the tokens that the answer consists of."""
    given, message = choice.get("logprobs"), choice["message"]
    if not given or given.get("content") is None:
        return None
    is_text_only = not message.get("tool_calls") and not message.get("reasoning_content")
    if body.stop and is_text_only:
        return {"content": tokens_of_text(given["content"], message["content"] or "")}
    return {"content": without_empty_end(given["content"])}


def chat_logprobs(given: Json | None, body: ChatBody) -> Json | None:
    """Logprobs without the engine's own fields, and with as many alternatives as the request wants."""
    if not given or given.get("content") is None:
        return None
    content = [
        {
            "token": one["token"],
            "logprob": one["logprob"],
            "bytes": one.get("bytes"),
            "top_logprobs": [
                {"token": top["token"], "logprob": top["logprob"], "bytes": top.get("bytes")}
                for top in one.get("top_logprobs", ())[: body.top_logprobs or 0]
            ],
        }
        for one in given["content"]
    ]
    return {"content": content, "refusal": None}
