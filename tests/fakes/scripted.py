"""What the fake engine answers when a test wants more than counted words: one script for each form of an answer.

A request names its script in its last message (or prompt) as `script: NAME`. With a file of turns (the flag
`--turns`), a request that offers tools gets the turn that is due: the first one until a tool has answered, the
second one after one result, and so on. The forms are those of llama.cpp's chat and text completions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_NAMED = re.compile(r"script: ([a-z0-9-]+)")


@dataclass(frozen=True, slots=True)
class Script:
    """One answer: the deltas of its message in order, and how it ends."""

    deltas: list[Json] = field(default_factory=list)
    finish_reason: str = "stop"
    stopping_word: str = ""
    error: Json | None = None
    """Sent instead of the end: as an event of a stream, as the answer with this `code` otherwise."""

    @property
    def text(self) -> str:
        return "".join(delta.get("content") or "" for delta in self.deltas)

    def message(self) -> Json:
        """The whole message that the deltas amount to."""
        message: Json = {"role": "assistant", "content": self.text}
        if thought := "".join(delta.get("reasoning_content") or "" for delta in self.deltas):
            message["reasoning_content"] = thought
        calls: dict[int, Json] = {}
        for piece in (call for delta in self.deltas for call in delta.get("tool_calls", ())):
            call = calls.setdefault(piece["index"], {"type": "function", "function": {"arguments": ""}})
            call |= {"id": piece["id"]} if "id" in piece else {}
            given = piece.get("function", {})
            call["function"] |= {"name": given["name"]} if "name" in given else {}
            call["function"]["arguments"] += given.get("arguments", "")
        if calls:
            message["tool_calls"] = list(calls.values())
        return message


def said(*texts: str) -> list[Json]:
    return [{"content": text} for text in texts]


def thought(*texts: str) -> list[Json]:
    return [{"reasoning_content": text} for text in texts]


def called(name: str, *arguments: str, index: int = 0) -> list[Json]:
    """A call as the engine streams it: its name first, then its arguments in pieces."""
    head = {"index": index, "id": f"call-{index}", "type": "function", "function": {"name": name}}
    return [{"tool_calls": [head]}] + [
        {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in arguments
    ]


def _error(code: int, message: str, kind: str) -> Json:
    return {"code": code, "message": message, "type": kind}


LOOK = called("look", '{"a"', ": 5}")
SCRIPTS: dict[str, Script] = {
    "text": Script(said("Hello", " there", ".")),
    "nothing": Script(),
    "thinking": Script(thought("Let me", " see.") + said("It is", " five.")),
    "thinking-only": Script(thought("Let me", " see"), "length"),
    "tool": Script(LOOK, "tool_calls"),
    "text-tool": Script(said("I will look.") + LOOK, "tool_calls"),
    "thinking-tool": Script(thought("I should look.") + LOOK, "tool_calls"),
    "two-tools": Script(LOOK + called("look", "{}", index=1), "tool_calls"),
    "tool-without-arguments": Script(called("look"), "tool_calls"),
    "tool-cut": Script(called("look", '{"a": '), "length"),
    "length": Script(said("Hello", " the"), "length"),
    "stop-word": Script(said("Hello"), stopping_word=" there"),
    "forced-call": Script(said('{"name":"look",', '"arguments":{"a":', " 5}}")),
    "json": Script(said('{"a":', " 5}")),
    "json-stop-word": Script(said('{"a":'), stopping_word=" 5"),
    "error": Script(said("Hello"), error=_error(500, "The fake engine failed", "server_error")),
    "refused": Script(error=_error(400, "the template raised an exception", "invalid_request_error")),
    "loading": Script(error=_error(503, "Loading model", "unavailable_error")),
    "too-long": Script(
        error=_error(400, "the request exceeds the available context size", "exceed_context_size_error")
        | {"n_prompt_tokens": 9000, "n_ctx": 8192}
    ),
}


class Scripts:
    """Chooses the script of a request, if one is wanted."""

    def __init__(self, turns: str | None = None) -> None:
        self._turns = [_turn(one) for one in json.loads(Path(turns).read_text())] if turns else []

    def of(self, request: Json) -> Script | None:
        """The script that the request names, or the turn that is due; None for counted words."""
        messages = request.get("messages") or [{"content": request.get("prompt")}]
        if self._turns and request.get("tools"):
            due = sum(message.get("role") == "tool" for message in messages)
            return self._turns[min(due, len(self._turns) - 1)]
        found = _NAMED.findall(json.dumps(messages[-1].get("content")))
        return SCRIPTS[found[-1]] if found else None


def _turn(given: Json) -> Script:
    """`{"text": ...}` or `{"tool": name, "arguments": {...}}`."""
    if "tool" in given:
        return Script(called(given["tool"], json.dumps(given["arguments"])), "tool_calls")
    return Script(said(given["text"]))


def verbose_of(script: Script, request: Json) -> Json:
    """What `verbose` adds, as far as `response_fields` asks for it."""
    if not request.get("verbose"):
        return {}
    kind = {"length": "limit"}.get(script.finish_reason, "word" if script.stopping_word else "eos")
    settings = {"temperature": 0.8, "top_p": 0.95, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    known: Json = {"stopping_word": script.stopping_word, "stop_type": kind}
    known |= {f"generation_settings/{name}": request.get(name, value) for name, value in settings.items()}
    return {"__verbose": {name: known[name] for name in request.get("response_fields", known)}}


def choices(script: Script, request: Json, is_chat: bool, index: int = 0) -> Iterator[Json]:
    """The choices of a stream's chunks."""
    if is_chat:
        yield {"finish_reason": None, "index": index, "delta": {"role": "assistant", "content": None}}
    for delta in script.deltas:
        text = delta.get("content")
        choice: Json = {"finish_reason": None, "index": index}
        choice |= {"delta": delta} if is_chat else {"text": text or "", "logprobs": None}
        if request.get("logprobs") not in (None, False) and text:
            choice["logprobs"] = logprobs(text)
        yield choice
    if script.error is None:
        tail: Json = {"delta": {}} if is_chat else {"text": "", "logprobs": None}
        yield {"finish_reason": script.finish_reason, "index": index} | tail


def logprobs(text: str) -> Json:
    one = {"id": 1, "token": text, "bytes": list(text.encode()), "logprob": -0.5}
    return {"content": [one | {"top_logprobs": [one, one | {"id": 2, "logprob": -1.5}]}]}
