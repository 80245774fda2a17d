"""A whole chat answer of the engine completed to what the published schema requires, nullable fields included."""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.openai_chat.shapes import ChatBody


def complete_chat(answer: Json, body: ChatBody) -> Json:
    """The answer with the fields that are missing."""
    for choice in answer["choices"]:
        message = choice["message"]
        message.setdefault("content", None)
        message.setdefault("refusal", None)
        choice["logprobs"] = chat_logprobs(choice.get("logprobs"), body)
    return answer


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
