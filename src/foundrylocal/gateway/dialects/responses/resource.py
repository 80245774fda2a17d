"""The response as a whole: its own fields, and what it repeats of its request.

Invariant: every field that the published schemas require is there, a number where they have a number.
"""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import ChatAnswer, Usage
from foundrylocal.gateway.dialects.responses.shapes import FunctionTool, ResponsesBody

# What the engine uses where neither the request nor the model says otherwise; it reports its values at the end.
_DEFAULTS = {"temperature": 0.8, "top_p": 0.95, "presence_penalty": 0.0, "frequency_penalty": 0.0}


def response_frame(body: ResponsesBody, response_id: str, model: str, created_at: int) -> Json:
    """A response in progress, without output."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": body.metadata or {},
        "model": model,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": _reasoning(body),
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "store": body.store is not False,
        **{name: _given(body, name, value) for name, value in _DEFAULTS.items()},
        "text": _text(body),
        "tool_choice": body.tool_choice or "auto",
        "tools": [_function(tool) for tool in body.tools or ()],
        "top_logprobs": body.top_logprobs or 0,
        "truncation": "disabled",
        "usage": None,
        **({"user": body.user} if body.user is not None else {}),
    }


def finished(frame: Json, output: list[Json], answer: ChatAnswer, usage: Json, completed_at: int) -> Json:
    """The response at its end; one that the limit or the context cut short is incomplete."""
    reason = answer.choices[0].finish_reason if answer.choices else None
    is_cut = reason == "length"
    return {
        **frame,
        **answer.sampling(),
        "status": "incomplete" if is_cut else "completed",
        "completed_at": None if is_cut else completed_at,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "output": output,
        "usage": usage,
    }


def usage_of(usage: Usage, reasoning_tokens: int) -> Json:
    """The counts of tokens in the published form."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _given(body: ResponsesBody, name: str, default: float) -> float:
    value = getattr(body, name)
    return default if value is None else float(value)


def _reasoning(body: ResponsesBody) -> Json:
    wanted = body.reasoning
    return {"effort": wanted.effort if wanted else None, "summary": wanted.summary if wanted else None}


def _text(body: ResponsesBody) -> Json:
    wanted: Json = dict((body.text.format if body.text else None) or {"type": "text"})
    if wanted.get("type") == "json_schema":
        wanted = {"name": "answer", "description": None, "strict": False, **wanted}
        wanted["strict"] = bool(wanted["strict"])
    text: Json = {"format": wanted}
    if body.text is not None and body.text.verbosity is not None:
        text["verbosity"] = body.text.verbosity
    return text


def _function(tool: FunctionTool) -> Json:
    """A function of the request, with the nulls that its schema requires."""
    known = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", **known, "strict": tool.strict}
