"""Whether an answer keeps its constraint, checked byte by byte as it arrives.

The engine drops a grammar in the middle of an answer when a step of it is too much work, and goes on generating
without it. Only the text shows that.

Invariant: an answer that is passed on as complete kept its constraint from its first byte to its last.
"""

from __future__ import annotations

from functools import cache, lru_cache
from time import thread_time
from typing import TYPE_CHECKING

from foundrylocal.gateway.limits.constraint import Constraint, refusal

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# Less than the engine's own limit, so that one byte never takes long: what is more, the engine cannot do either.
_MAX_ITEMS_IN_ROW = 500
# The engine compiles it too, and nothing else of it goes on meanwhile.
MAX_COMPILE_S = 2.0
_END = 256


class _Bytes:
    """A vocabulary of the 256 bytes."""

    eos_token_id = _END
    bos_token_id = None
    tokens = (*(bytes([number]) for number in range(256)), b"<end>")
    special_token_ids = (_END,)

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


@cache
def _tokenizer() -> LLTokenizer:
    from llguidance import LLTokenizer, TokenizerWrapper

    return LLTokenizer(TokenizerWrapper(_Bytes()), slices=[])


@lru_cache(maxsize=16)  # applications send the same schema again and again
def _compiled(grammar: str) -> tuple[LLMatcher, float]:
    """The compiled grammar, and the seconds of processor time that it took."""
    from llguidance import LLMatcher, LLParserLimits

    limits = LLParserLimits(max_items_in_row=_MAX_ITEMS_IN_ROW, verbose_errors=False)
    tokenizer = _tokenizer()
    began_s = thread_time()
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
    return matcher, thread_time() - began_s


class Adherence:
    """Follows one answer. It is compiled once, beside the event loop, and copied for each answer."""

    def __init__(self, constraint: Constraint, field: str) -> None:
        """Compile it. Raises InvalidRequest that names `field` for what is too much work, here and for the engine."""
        compiled, took_s = _compiled(constraint.grammar)
        if compiled.is_error() or took_s > MAX_COMPILE_S:
            raise refusal(field, "it takes too much work to compile: simplify its patterns and numbers")
        self._matcher = compiled.deep_copy()
        self._is_broken = False

    def copy(self) -> Adherence:
        """Another answer at the same place; takes less than a millisecond."""
        other = object.__new__(Adherence)
        other._matcher, other._is_broken = self._matcher.deep_copy(), self._is_broken
        return other

    def follow(self, text: str) -> bool:
        """Whether the answer so far, with `text` added, may become one that keeps the constraint."""
        data = text.encode("utf-8", "surrogatepass")
        if not self._is_broken and data:
            self._is_broken = self._matcher.try_consume_tokens(list(data)) < len(data)
        return not self._is_broken

    def is_complete(self) -> bool:
        """Whether the answer may end here."""
        return not self._is_broken and self._matcher.is_accepting()
