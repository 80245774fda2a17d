"""What an engine reports about its slots, and which requests have stopped moving.

Each request carries a number, its tag, in `n_discard`: the engine repeats it in `/slots` and uses it only for
shifting the context, which is off. All slots of one request (several answers, several prompts) count as one.

Invariant: a request that waits while the prompt of another one is read is not standing still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

TAG_FIELD = "n_discard"


class _Params(msgspec.Struct):
    n_discard: int = 0


class _NextToken(msgspec.Struct):
    n_decoded: int = 0


class Slot(msgspec.Struct, kw_only=True):
    """One slot; the counts are None where an engine does not report them, and the slot is then not followed."""

    id: int
    is_processing: bool = False
    id_task: int = -1
    n_prompt_tokens: int = 0
    n_prompt_tokens_processed: int | None = None
    n_prompt_tokens_cache: int = 0
    params: _Params = msgspec.field(default_factory=_Params)
    next_token: list[_NextToken] = msgspec.field(default_factory=list)

    @property
    def tag(self) -> int:
        """The tag of the request that it works on; 0 when there is none to follow."""
        is_followed = self.is_processing and self.n_prompt_tokens_processed is not None
        return self.params.n_discard if is_followed else 0

    @property
    def has_worked(self) -> bool:
        """Whether any request has used it."""
        return self.id_task >= 0

    @property
    def decoded_tokens(self) -> int:
        """How many tokens of the answer there are."""
        return sum(token.n_decoded for token in self.next_token)

    @property
    def batch_tokens(self) -> int:
        """How many tokens of the prompt are being computed; before the slot begins, at most this many."""
        if not self.is_processing or self.decoded_tokens or self.n_prompt_tokens_processed is None:
            return 0
        return max(0, self.n_prompt_tokens - self.n_prompt_tokens_processed - self.n_prompt_tokens_cache)


decode_slots = msgspec.json.Decoder(list[Slot]).decode


@dataclass(slots=True)
class _Seen:
    state: frozenset[tuple[int, ...]]
    since_s: float
    is_reading: bool
    has_begun: bool


class SlotProgress:
    """For how long each request of one engine has stood still."""

    def __init__(self) -> None:
        self._seen: dict[int, _Seen] = {}

    def note(self, slots: Sequence[Slot], now_s: float) -> None:
        """Take what the engine reports at this moment."""
        before, self._seen = self._seen, {}
        has_read = False
        for tag in {slot.tag for slot in slots} - {0}:
            seen = _seen([slot for slot in slots if slot.tag == tag], now_s)
            known = before.get(tag)
            if known is not None and known.state == seen.state:
                seen.since_s = known.since_s
            elif known.is_reading if known is not None else seen.has_begun:
                has_read = True
            self._seen[tag] = seen
        # A prompt that was read to its end, and then left, took the batches of those that wait too.
        if has_read or any(seen.is_reading for tag, seen in before.items() if tag not in self._seen):
            for seen in self._seen.values():
                seen.since_s = seen.since_s if seen.has_begun else now_s

    def standing(self, now_s: float, bound_s: float) -> frozenset[int]:
        """The tags of the requests that have not moved for longer than the bound."""
        return frozenset(tag for tag, seen in self._seen.items() if now_s - seen.since_s > bound_s)

    @property
    def last_move_s(self) -> float | None:
        """When any request was last seen to move; None while there is none."""
        return max((seen.since_s for seen in self._seen.values()), default=None)


def _seen(slots: Sequence[Slot], now_s: float) -> _Seen:
    state = frozenset(
        (
            slot.id,
            slot.id_task,
            slot.n_prompt_tokens_processed or 0,
            slot.n_prompt_tokens,
            slot.decoded_tokens,
        )
        for slot in slots
    )
    return _Seen(
        state,
        now_s,
        is_reading=any(not slot.decoded_tokens for slot in slots),
        has_begun=any(slot.n_prompt_tokens_processed or slot.decoded_tokens for slot in slots),
    )
