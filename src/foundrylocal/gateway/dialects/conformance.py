"""Whole answers of the engine completed to what the published schemas require, nullable fields included.

Invariant: what the engine said stays; only fields that are missing, or of another shape than published, change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from foundrylocal.gateway.dialects import shapes
from foundrylocal.gateway.routes import Dialect

Json = dict[str, Any]
_ENGINE_ID = "chatcmpl-"


def complete(dialect: Dialect, answer: Json, asked: shapes.Body, context_size: int | None = None) -> Json:
    """The answer as its schema wants it; `asked` is the request it answers, `context_size` the model's in tokens."""
    if dialect is Dialect.RESPONSES:
        return _responses(answer, asked, context_size)
    return _BY_DIALECT[dialect](answer, asked)


# --- chat -----------------------------------------------------------------------------------------------


def _chat(answer: Json, asked: shapes.Body) -> Json:
    for choice in answer["choices"]:
        message = choice["message"]
        message.setdefault("content", None)
        message.setdefault("refusal", None)
        choice["logprobs"] = chat_logprobs(choice.get("logprobs"), asked)
    return answer


def chat_logprobs(given: Json | None, asked: shapes.Body) -> Json | None:
    """Logprobs without the engine's own fields, and with as many alternatives as were asked for."""
    if not given or given.get("content") is None:
        return None
    wanted = getattr(asked, "top_logprobs", 0) or 0
    content = [
        {
            "token": one["token"],
            "logprob": one["logprob"],
            "bytes": one.get("bytes"),
            "top_logprobs": [
                {"token": top["token"], "logprob": top["logprob"], "bytes": top.get("bytes")}
                for top in one.get("top_logprobs", ())[:wanted]
            ],
        }
        for one in given["content"]
    ]
    return {"content": content, "refusal": None}


# --- text -----------------------------------------------------------------------------------------------


def _text(answer: Json, asked: shapes.Body) -> Json:
    answer["id"] = text_id(answer.get("id"))
    for choice in answer["choices"]:
        choice["logprobs"], _ = text_logprobs(choice.get("logprobs"), 0, asked)
    return answer


def text_id(given: object) -> str:
    return "cmpl-" + str(given or "").removeprefix(_ENGINE_ID)


def text_logprobs(given: Json | None, offset: int, asked: shapes.Body) -> tuple[Json | None, int]:
    """The older shape of logprobs, by columns; `offset` is where in the text its first token begins."""
    if not given or given.get("content") is None:
        return None, offset
    wanted = getattr(asked, "logprobs", 0) or 0
    columns: Json = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for one in given["content"]:
        columns["tokens"].append(one["token"])
        columns["token_logprobs"].append(one["logprob"])
        tops = one.get("top_logprobs", ())[:wanted]
        columns["top_logprobs"].append({top["token"]: top["logprob"] for top in tops})
        columns["text_offset"].append(offset)
        offset += len(one["token"])
    return columns, offset


# --- messages -------------------------------------------------------------------------------------------

_USAGE = ("cache_creation", "cache_creation_input_tokens", "cache_read_input_tokens", "server_tool_use")


def _messages(answer: Json, asked: shapes.Body) -> Json:
    if "content" not in answer:
        return answer  # a count of tokens
    answer["id"] = "msg_" + str(answer.get("id") or "").removeprefix(_ENGINE_ID)
    tell_stop_sequence(answer)
    for block in answer["content"]:
        complete_block(block)
    usage = answer["usage"]
    for name in (*_USAGE, "service_tier"):
        usage.setdefault(name, None)
    return answer


def tell_stop_sequence(ended: Json) -> None:
    """The engine names the sequence that ended an answer, and calls that the end of a turn all the same."""
    if ended.setdefault("stop_sequence", None) is not None:
        ended["stop_reason"] = "stop_sequence"


_BLOCKS: dict[str, Json] = {
    "text": {"text": "", "citations": None},
    "thinking": {"thinking": "", "signature": ""},
}


def complete_block(block: Json) -> Json:
    """A block of content as it begins or as it is whole."""
    kind = block.get("type")
    for name, value in _BLOCKS.get(str(kind), {}).items():
        block.setdefault(name, value)
    if kind == "tool_use":
        block.setdefault("input", {})
    return block


def complete_delta_usage(usage: Json) -> Json:
    for name in ("cache_creation_input_tokens", "cache_read_input_tokens", "input_tokens", "server_tool_use"):
        usage.setdefault(name, None)
    return usage


# --- responses ------------------------------------------------------------------------------------------


def _responses(answer: Json, asked: shapes.Body, context_size: int | None) -> Json:
    created = answer.get("created_at") or 0
    named: Json = {
        "created_at": created,
        "error": None,
        "incomplete_details": None,
        "instructions": getattr(asked, "instructions", None),
        "max_output_tokens": getattr(asked, "max_output_tokens", None),
        "metadata": getattr(asked, "metadata", None) or {},
        "output": [],
        "parallel_tool_calls": getattr(asked, "parallel_tool_calls", None) is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": getattr(asked, "temperature", None),
        "text": {"format": _text_format(asked)},
        "tool_choice": getattr(asked, "tool_choice", None) or "auto",
        "tools": [_offer(tool) for tool in getattr(asked, "tools", None) or ()],
        "top_p": getattr(asked, "top_p", None),
        "truncation": "disabled",
        "user": asked.user,
    }
    complete_answer: Json = {**named, **answer}
    for item in complete_answer["output"]:
        for part in item.get("content") or ():
            complete_part(part)
    usage = complete_answer.get("usage")
    if usage:
        usage.setdefault("input_tokens_details", {"cached_tokens": 0})
        usage["input_tokens_details"].setdefault("cache_write_tokens", 0)
        usage.setdefault("output_tokens_details", {"reasoning_tokens": 0})
    _tell_incomplete(complete_answer, asked, context_size)
    return complete_answer


def _tell_incomplete(answer: Json, asked: shapes.Body, context_size: int | None) -> None:
    """An answer that its limit or the context cut short is not called complete; the engine tells neither."""
    limit = getattr(asked, "max_output_tokens", None)
    usage = answer.get("usage") or {}
    is_at_limit = limit is not None and usage.get("output_tokens", 0) >= limit
    is_context_full = context_size is not None and usage.get("total_tokens", 0) >= context_size
    if answer.get("status") == "completed" and (is_at_limit or is_context_full):
        answer["status"] = "incomplete"
        answer["incomplete_details"] = {"reason": "max_output_tokens"}
        for item in answer["output"][-1:]:
            item["status"] = "incomplete"


def _offer(tool: Any) -> Json:
    """A function that was offered, with the nulls that its schema requires."""
    return {"type": "function", "description": None, "strict": None, **msgspec.to_builtins(tool)}


def _text_format(asked: shapes.Body) -> Json:
    text = getattr(asked, "text", None)
    return (text.format if text is not None else None) or {"type": "text"}


def complete_part(part: Json) -> Json:
    if part.get("type") == "output_text":
        part.setdefault("annotations", [])
        part.setdefault("logprobs", [])
        part.setdefault("text", "")
    return part


def _plain(answer: Json, asked: shapes.Body) -> Json:
    return answer


_BY_DIALECT: dict[Dialect, Callable[[Json, shapes.Body], Json]] = {
    Dialect.CHAT: _chat,
    Dialect.TEXT: _text,
    Dialect.MESSAGES: _messages,
    Dialect.PLAIN: _plain,
}
