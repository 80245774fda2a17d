"""A whole chat answer sent as a stream, where only the whole one names the tokens.

While a stop string may be on its way the engine keeps tokens back, and a stream of it then lacks their logprobs. So a
stream with both is made of the whole answer: it comes at the end, and it is right.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.events import dump
from foundrylocal.gateway.dialects.openai_chat.shapes import ChatBody

_FRAME = ("id", "created", "model", "system_fingerprint")


def is_replayed(body: ChatBody) -> bool:
    """Whether the request's stream is made of a whole answer."""
    return bool(body.is_stream and body.logprobs and body.stop and body.answer_count == 1 and not body.tools)


def replay(answer: Json, body: ChatBody) -> bytes:
    """The completed answer as the events of a stream."""
    frame = {name: answer[name] for name in _FRAME if name in answer} | {"object": "chat.completion.chunk"}
    if body.wants_usage:
        frame["usage"] = None
    (choice,) = answer["choices"]
    chunks = [_choice({"role": "assistant", "content": ""})]
    if reasoning := choice["message"].get("reasoning_content"):
        chunks.append(_choice({"reasoning_content": reasoning}))
    chunks += [
        _choice({"content": text}, {"content": entries, "refusal": None}) for text, entries in _pieces(choice)
    ]
    chunks.append(_choice({}, finish_reason=choice["finish_reason"]))
    events = [dump({**frame, "choices": [chunk]}) for chunk in chunks]
    if body.wants_usage:
        events.append(dump({**frame, "choices": [], "usage": answer["usage"]}))
    return b"".join(b"data: " + event + b"\n\n" for event in (*events, b"[DONE]"))


def _choice(delta: Json, logprobs: Json | None = None, finish_reason: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def _pieces(choice: Json) -> Iterator[tuple[str, list[Json]]]:
    """The text by tokens; a character of several tokens comes with the last of them."""
    left: str = choice["message"]["content"] or ""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    entries: list[Json] = []
    for entry in (choice["logprobs"] or {}).get("content", ()):
        entries.append(entry)
        text = decode(bytes(entry.get("bytes") or entry["token"].encode("utf-8", "replace")))[: len(left)]
        if text and left.startswith(text):
            left = left[len(text) :]
            yield text, entries
            entries = []
    if left or entries:
        yield left, entries
