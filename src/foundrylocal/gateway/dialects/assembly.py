"""Several whole answers put together from the engine's stream, since its own whole answer counts the first only.

Invariant: what comes out has the shape of the engine's whole answer, its choices in order of their numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from foundrylocal.gateway.dialects.engine_errors import EngineRefused, error_of_object
from foundrylocal.gateway.dialects.requests import Prepared
from foundrylocal.gateway.dialects.usage import UsageTotal, answers_of
from foundrylocal.gateway.stats.request_stats import RequestStats

Json = dict[str, Any]
_NOT_OF_THE_WHOLE = ("choices", "usage", "timings")


def assemble(stream: bytes, prepared: Prepared, stats: RequestStats) -> Json:
    """The whole answer that a stream amounts to; raises the error that the engine tells of in it."""
    total = UsageTotal(prepared.asked)
    choices: dict[int, Json] = {}
    answer: Json = {}
    for chunk in _chunks(stream, prepared):
        answer = answer or {name: value for name, value in chunk.items() if name not in _NOT_OF_THE_WHOLE}
        stats.note_timings(chunk.get("timings") or {})
        number: int | None = None
        for piece in chunk.get("choices", ()):
            number = piece["index"]
            _add(choices.setdefault(number, {"index": number}), piece)
        if chunk.get("usage"):
            answer["usage"] = total.add(chunk["usage"], number)
    if len(choices) != answers_of(prepared.asked) or not answer.get("usage"):
        raise EngineRefused("It ended before all answers were complete.")
    answer["object"] = str(answer["object"]).removesuffix(".chunk")
    answer["choices"] = [_whole(choices[number]) for number in sorted(choices)]
    return answer


def _chunks(stream: bytes, prepared: Prepared) -> Iterator[Json]:
    for event in stream.split(b"\n\n"):
        _, _, data = event.partition(b": ")
        if not data.startswith(b"{"):
            continue
        try:
            chunk = json.loads(data)
        except ValueError as error:
            raise EngineRefused("A part of its answer is not JSON.") from error
        said = chunk.get("error")
        if isinstance(said, dict):
            code = said.get("code")
            status = code if isinstance(code, int) and code >= 400 else 500
            raise error_of_object(status, said, str(said.get("message") or ""), prepared)
        yield chunk


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
