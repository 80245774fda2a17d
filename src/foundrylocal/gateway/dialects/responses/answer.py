"""The items of an answer, as they begin, as they end, and all of a whole answer."""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import ChatAnswer, Usage, reasoning_tokens
from foundrylocal.gateway.dialects.ids import with_prefix
from foundrylocal.gateway.dialects.logprobs import without_empty_end
from foundrylocal.gateway.dialects.responses.resource import finished, response_frame, usage_of
from foundrylocal.gateway.dialects.responses.shapes import ResponsesBody


def response_of(answer: ChatAnswer, body: ResponsesBody, model: str, completed_at: int) -> Json:
    """The whole response. Raises LookupError when the answer holds none."""
    choice = answer.choices[0]
    said, key = choice.message, with_prefix("", answer.id)
    status = "incomplete" if choice.finish_reason == "length" else "completed"
    output: list[Json] = []
    if said.reasoning_content:
        output.append(reasoning_item(new_item_id("rs", key, len(output)), said.reasoning_content, status))
    if said.content:
        entries = without_empty_end((choice.logprobs and choice.logprobs.content) or [])
        logprobs = logprobs_of(entries, body)
        phase = "commentary" if said.tool_calls else "final_answer"
        part = text_part(said.content, logprobs)
        output.append(message_item(new_item_id("msg", key, len(output)), [part], status, phase))
    for call in said.tool_calls:
        item = call_item(new_item_id("fc", key, len(output)), call.id, call.function.name)
        output.append({**item, "arguments": call.function.arguments, "status": status})
    for item in output[:-1]:  # only the last one can have been cut short
        item["status"] = "completed"
    usage = answer.usage or Usage()
    others = len(said.content or "") + sum(len(call.function.arguments) for call in said.tool_calls)
    reasoning = reasoning_tokens(usage, len(said.reasoning_content or ""), others)
    frame = response_frame(body, response_id(answer), model, answer.created)
    return finished(frame, output, answer, usage_of(usage, reasoning), completed_at)


def response_id(answer: ChatAnswer) -> str:
    return with_prefix("resp_", answer.id)


def new_item_id(prefix: str, key: str, index: int) -> str:
    """An id of its own for each item of an answer."""
    return f"{prefix}_{key}_{index}"


# --- items ----------------------------------------------------------------------------------------------


def reasoning_item(name: str, text: str | None, status: str) -> Json:
    """Reasoning, as a summary: that is where clients of the published API look for it, and show it."""
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"type": "reasoning", "id": name, "summary": summary, "status": status}


def message_item(name: str, content: list[Json], status: str, phase: str | None = None) -> Json:
    item: Json = {"type": "message", "id": name, "status": status, "role": "assistant", "content": content}
    return item if phase is None else item | {"phase": phase}


def text_part(text: str, logprobs: list[Json]) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def call_item(name: str, call_id: str, function: str) -> Json:
    """A call that begins: its arguments are still to come."""
    return {
        "type": "function_call",
        "id": name,
        "call_id": "call_" + call_id.removeprefix("call_"),
        "name": function,
        "arguments": "",
        "status": "in_progress",
    }


def logprobs_of(given: list[Json], body: ResponsesBody) -> list[Json]:
    """Logprobs without the engine's own fields, and with as many alternatives as the request wants."""
    return [
        {
            **_logprob(one),
            "top_logprobs": [_logprob(top) for top in one.get("top_logprobs", ())[: body.top_logprobs or 0]],
        }
        for one in given
    ]


def _logprob(one: Json) -> Json:
    return {"token": one["token"], "logprob": one["logprob"], "bytes": one.get("bytes") or []}
