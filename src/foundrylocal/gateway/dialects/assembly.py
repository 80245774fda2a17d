"""Several whole answers put together from the engine's stream, since its own whole answer counts the first only.

Invariant: the result has the shape of the engine's whole answer, its choices in the order of their numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from foundrylocal.gateway.dialects.body import Body, Json
from foundrylocal.gateway.dialects.engine_errors import EngineFailed, error_in_event
from foundrylocal.gateway.dialects.usage import UsageTotal
from foundrylocal.gateway.stats.request_stats import RequestStats

AS_STREAM: Json = {"stream": True, "stream_options": {"include_usage": True}}
"""What such a request says to the engine."""
_NOT_OF_THE_WHOLE = ("choices", "usage", "timings")


def assemble(stream: bytes, body: Body, stats: RequestStats) -> Json:
    """The whole answer that a stream amounts to. Raises the error that the engine reports in it, EngineFailed."""
    total = UsageTotal(body)
    choices: dict[int, Json] = {}
    answer: Json = {}
    for chunk in _chunks(stream, body):
        answer = answer or {name: value for name, value in chunk.items() if name not in _NOT_OF_THE_WHOLE}
        stats.note_timings(chunk.get("timings") or {})
        number: int | None = None
        for piece in chunk.get("choices", ()):
            number = piece["index"]
            _add(choices.setdefault(number, {"index": number}), piece)
        if chunk.get("usage"):
            answer["usage"] = total.add(chunk["usage"], number)
    if len(choices) != body.answer_count or not answer.get("usage"):
        raise EngineFailed("Its stream ended before all answers were complete.")
    answer["object"] = str(answer["object"]).removesuffix(".chunk")
    answer["choices"] = [_whole(choices[number]) for number in sorted(choices)]
    return answer


def _chunks(stream: bytes, body: Body) -> Iterator[Json]:
    for event in stream.split(b"\n\n"):
        _, _, data = event.partition(b": ")
        if not data.startswith(b"{"):
            continue
        if (error := error_in_event(event, body)) is not None:
            raise error
        try:
            yield json.loads(data)
        except ValueError as broken:
            raise EngineFailed("A part of its stream is not JSON.") from broken


def _add(choice: Json, piece: Json) -> None:
    """Add what one chunk brings to its choice."""
    choice["finish_reason"] = piece.get("finish_reason") or choice.get("finish_reason")
    logprobs = (piece.get("logprobs") or {}).get("content")
    if logprobs:
        choice.setdefault("logprobs", {"content": []})["content"] += logprobs
    if "text" in piece:
        choice["text"] = choice.get("text", "") + piece["text"]
        return
    message = choice.setdefault("message", {"role": "assistant", "content": None})
    for name, value in piece.get("delta", {}).items():
        if name == "tool_calls":
            _add_calls(message.setdefault("tool_calls", []), value)
        elif name != "role" and isinstance(value, str):
            message[name] = (message.get(name) or "") + value


def _add_calls(calls: list[Json], pieces: list[Json]) -> None:
    for piece in pieces:
        while len(calls) <= piece["index"]:
            calls.append({"type": "function", "id": "", "function": {"name": "", "arguments": ""}})
        call, said = calls[piece["index"]], piece.get("function") or {}
        call["id"] = piece.get("id") or call["id"]
        call["function"]["name"] += said.get("name") or ""
        call["function"]["arguments"] += said.get("arguments") or ""


def _whole(choice: Json) -> Json:
    message = choice.get("message")
    if message is not None and message["content"] is None and "tool_calls" not in message:
        message["content"] = ""
    return choice
