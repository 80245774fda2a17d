"""A response of the engine completed to what the published schema requires, nullable fields included."""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.responses.shapes import FunctionTool, ResponsesBody


def complete_response(answer: Json, body: ResponsesBody, context_size: int | None) -> Json:
    """The response with the fields that are missing; `context_size` is the replica's, in tokens."""
    response: Json = {**_request_fields(body), "created_at": 0, "error": None, "incomplete_details": None}
    response |= {"output": [], "previous_response_id": None, "store": False, "truncation": "disabled"}
    response |= answer
    for item in response["output"]:
        for part in item.get("content") or ():
            complete_part(part)
    usage = response.get("usage")
    if usage:
        usage.setdefault("input_tokens_details", {"cached_tokens": 0})
        usage["input_tokens_details"].setdefault("cache_write_tokens", 0)
        usage.setdefault("output_tokens_details", {"reasoning_tokens": 0})
    _mark_incomplete(response, body, context_size)
    return response


def _request_fields(body: ResponsesBody) -> Json:
    """What a response repeats of its request."""
    wanted = body.text.format if body.text is not None else None
    return {
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "metadata": body.metadata or {},
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "reasoning": {"effort": None, "summary": None},
        "temperature": body.temperature,
        "text": {"format": wanted or {"type": "text"}},
        "tool_choice": body.tool_choice or "auto",
        "tools": [_tool(tool) for tool in body.tools or ()],
        "top_p": body.top_p,
        "user": body.user,
    }


def _tool(tool: FunctionTool) -> Json:
    """A function of the request, with the nulls that its schema requires."""
    return {"type": "function", "description": None, "strict": None, **msgspec.to_builtins(tool)}


def _mark_incomplete(response: Json, body: ResponsesBody, context_size: int | None) -> None:
    """Mark a response that its limit or the context cut short: the engine calls both completed."""
    limit = body.max_output_tokens
    usage = response.get("usage") or {}
    is_at_limit = limit is not None and usage.get("output_tokens", 0) >= limit
    is_context_full = context_size is not None and usage.get("total_tokens", 0) >= context_size
    if response.get("status") == "completed" and (is_at_limit or is_context_full):
        response["status"] = "incomplete"
        response["incomplete_details"] = {"reason": "max_output_tokens"}
        for item in response["output"][-1:]:
            item["status"] = "incomplete"


def complete_part(part: Json) -> Json:
    """A part of a message with the fields that its schema requires."""
    if part.get("type") == "output_text":
        part.setdefault("annotations", [])
        part.setdefault("logprobs", [])
        part.setdefault("text", "")
    return part
