"""The token counts of several answers as one.

Invariant: a prompt counts once however many answers it gets, each answer's own tokens count always.
"""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Body, Json


class UsageTotal:
    """Adds up the counts that the engine sends with each answer."""

    def __init__(self, body: Body) -> None:
        self._left = body.answer_count
        self._answers_per_prompt = self._left // body.prompt_count
        self._total: Json = {}

    def add(self, usage: Json, index: int | None = None) -> Json | None:
        """Take the count of the answer of that number; the total when it was the last one, else None.

        A chat's count comes without a number, since all of its answers are of one prompt.
        """
        total = self._total
        is_new_prompt = not total if index is None else index % self._answers_per_prompt == 0
        total["completion_tokens"] = total.get("completion_tokens", 0) + usage["completion_tokens"]
        total.setdefault("prompt_tokens", 0)
        details = total.setdefault("prompt_tokens_details", {"cached_tokens": 0})
        if is_new_prompt:
            total["prompt_tokens"] += usage["prompt_tokens"]
            details["cached_tokens"] += (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        total["total_tokens"] = total["prompt_tokens"] + total["completion_tokens"]
        self._left -= 1
        return total if self._left <= 0 else None
