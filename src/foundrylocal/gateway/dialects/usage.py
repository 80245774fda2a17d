"""How many answers one request asks for, and their counts of tokens as one.

Invariant: a prompt counts once however many answers it gets, each answer's own tokens count always.
"""

from __future__ import annotations

from typing import Any

from foundrylocal.gateway.dialects import shapes

Json = dict[str, Any]


def prompts_of(asked: shapes.Body) -> int:
    """How many prompts a request holds: a list of texts or of token lists is several, one of tokens is one."""
    return _texts_in(asked.prompt) if isinstance(asked, shapes.CompletionBody) else 1


def _texts_in(prompt: str | list[Any]) -> int:
    is_several = isinstance(prompt, list) and not any(isinstance(part, int) for part in prompt)
    return len(prompt) if is_several else 1


def answers_of(asked: shapes.Body) -> int:
    """How many answers a request asks for, of all its prompts together."""
    if isinstance(asked, shapes.EmbeddingBody):
        return _texts_in(asked.input)
    n = asked.n if isinstance(asked, shapes.ChatBody | shapes.CompletionBody) else None
    return prompts_of(asked) * (n or 1)


def is_assembled(asked: shapes.Body) -> bool:
    """Whether the engine is asked for a stream to put a whole answer together from."""
    is_text = isinstance(asked, shapes.ChatBody | shapes.CompletionBody)
    return is_text and answers_of(asked) > 1 and not asked.is_stream


class UsageTotal:
    """Adds up the counts that the engine sends with each answer."""

    def __init__(self, asked: shapes.Body) -> None:
        self._left = answers_of(asked)
        self._a_prompt = self._left // prompts_of(asked)
        self._total: Json = {}

    def add(self, usage: Json, index: int | None = None) -> Json | None:
        """Take the count of the answer of that number; the total when it was the last one, else None.

        A chat's count comes without a number, since all of its answers are of one prompt.
        """
        total = self._total
        is_new_prompt = not total if index is None else index % self._a_prompt == 0
        total["completion_tokens"] = total.get("completion_tokens", 0) + usage["completion_tokens"]
        total.setdefault("prompt_tokens", 0)
        details = total.setdefault("prompt_tokens_details", {"cached_tokens": 0})
        if is_new_prompt:
            total["prompt_tokens"] += usage["prompt_tokens"]
            details["cached_tokens"] += (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        total["total_tokens"] = total["prompt_tokens"] + total["completion_tokens"]
        self._left -= 1
        return total if self._left <= 0 else None
