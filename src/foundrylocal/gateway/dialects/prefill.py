"""Prefill: a conversation that ends with an assistant's message, which the model continues.

The engine repeats that message at the beginning of its whole answers and in the closing events of a Responses
stream, but not in the pieces of a stream. Invariant: a client gets what was generated and nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from foundrylocal.gateway.dialects.events import dump, split_events

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prefill:
    """The begun answer: its text, and its thoughts."""

    text: str = ""
    reasoning: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.reasoning)

    # --- whole answers ----------------------------------------------------------------------------------

    def remove_from_answer(self, raw: bytes) -> bytes:
        """The engine's whole answer without the prefill: a chat, a message or a response."""
        if not raw.lstrip().startswith(b"{"):
            return raw  # the stream of several answers, which are put together from its pieces
        answer = json.loads(raw)
        self._clean(answer)
        return dump(answer)

    def _clean(self, answer: Json) -> None:
        for choice in answer.get("choices") or ():
            self._clean_message(choice.get("message") or {})
        if isinstance(answer.get("content"), list):
            answer["content"] = [block for block in answer["content"] if self._keeps_block(block)]
        if isinstance(answer.get("output"), list):
            answer["output"] = [item for item in answer["output"] if self._keeps_item(item)]

    def _clean_message(self, message: Json) -> None:
        if isinstance(message.get("content"), str):
            message["content"] = self.generated_text(message["content"])
        if isinstance(message.get("reasoning_content"), str):
            reasoning = self.generated_reasoning(message.pop("reasoning_content"))
            if reasoning:
                message["reasoning_content"] = reasoning

    def _keeps_block(self, block: Json) -> bool:
        """Clean one of Anthropic's blocks; False when nothing of it was generated."""
        if block.get("type") == "thinking":
            block["thinking"] = self.generated_reasoning(block["thinking"])
            return bool(block["thinking"])
        if block.get("type") == "text":
            block["text"] = self.generated_text(block["text"])
        return True

    def _keeps_item(self, item: Json) -> bool:
        """Clean an item of a response; False when nothing of it was generated."""
        is_reasoning = item.get("type") == "reasoning"
        for part in item.get("content") or ():
            self._clean_part(part, is_reasoning)
        return not is_reasoning or any(part.get("text") for part in item.get("content") or ())

    def _clean_part(self, part: Json, is_reasoning: bool) -> None:
        if isinstance(part.get("text"), str):
            part["text"] = (self.generated_reasoning if is_reasoning else self.generated_text)(part["text"])

    # --- a Responses stream -----------------------------------------------------------------------------

    def remove_from_events(self, block: bytes) -> bytes:
        """The engine's events without the prefill, which only the closing ones of a response repeat."""
        if b".done" not in block and b".completed" not in block and b".incomplete" not in block:
            return block
        return b"".join(self._event(event) for event in split_events(block))

    def _event(self, event: bytes) -> bytes:
        head, found, data = event.partition(b"\ndata: ")
        if not found or not data.startswith(b"{"):
            return event + b"\n\n"
        body = json.loads(data)
        kind = str(body.get("type"))
        if kind.endswith(".done") and isinstance(body.get("text"), str):
            self._clean_part(body, "reasoning" in kind)
        if isinstance(body.get("part"), dict):
            self._clean_part(body["part"], body["part"].get("type") == "reasoning_text")
        for holder in (body.get("item"), *((body.get("response") or {}).get("output") or ())):
            if isinstance(holder, dict):
                self._keeps_item(holder)
        return head + b"\ndata: " + dump(body) + b"\n\n"

    # --- text -------------------------------------------------------------------------------------------

    def generated_text(self, whole: str) -> str:
        """What follows the prefill in a text of the engine; a template may have trimmed the prefill."""
        return _after(whole, self.text)

    def generated_reasoning(self, whole: str) -> str:
        """What follows in the thoughts; they had ended when the prefill has a text."""
        return "" if self.text else _after(whole, self.reasoning)


def _after(whole: str, prefix: str) -> str:
    for begun in (prefix, prefix.rstrip(), prefix.strip()):
        if begun and whole.startswith(begun):
            return whole[len(begun) :]
    return whole


NO_PREFILL = Prefill()
