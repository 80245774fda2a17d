"""Prefill: a conversation that ends with an assistant's message, which the model continues.

The engine repeats that message at the beginning of its whole answers, but not in the pieces of a stream.

Invariant: a client gets what was generated and nothing else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from foundrylocal.gateway.dialects.events import dump

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
        """The engine's whole answer without the prefill."""
        if not raw.lstrip().startswith(b"{"):
            return raw  # the stream of several answers, which are put together from its pieces
        answer = json.loads(raw)
        for choice in answer.get("choices") or ():
            self._clean_message(choice.get("message") or {})
        return dump(answer)

    def _clean_message(self, message: Json) -> None:
        if isinstance(message.get("content"), str):
            message["content"] = self.generated_text(message["content"])
        if isinstance(message.get("reasoning_content"), str):
            reasoning = self.generated_reasoning(message.pop("reasoning_content"))
            if reasoning:
                message["reasoning_content"] = reasoning

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
