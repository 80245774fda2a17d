"""A chat stream of the engine read piece by piece, for dialects whose events are of another kind.

Invariant: the pieces of a message come in the order in which the model said them; a piece belongs to the part that
is open, and a part is closed before the next one begins.
"""

from __future__ import annotations

from foundrylocal.gateway.dialects.by_chat import CallPiece, ChatAnswer, Usage, decode_answer
from foundrylocal.gateway.dialects.events import split_events
from foundrylocal.gateway.stats.request_stats import RequestStats

_DONE = b"data: [DONE]"
_DATA = b"data: {"


class ChatStream:
    """Turns one stream's chunks into calls of the methods below; each answers the events to send."""

    def __init__(self, stats: RequestStats) -> None:
        self.stats = stats
        self.usage = Usage()
        self.last = ChatAnswer()
        self.finish_reason = "stop"
        self.reasoning_chars = self.other_chars = 0
        self._has_begun = False
        self._call = -1

    def __call__(self, block: bytes) -> bytes:
        return b"".join([self._event(event) for event in split_events(block)])

    def _event(self, event: bytes) -> bytes:
        if event.startswith(_DATA):
            return self._chunk(decode_answer(event[len(_DATA) - 1 :]))
        if event == _DONE:
            self.stats.note_usage(
                {
                    "input_tokens": self.usage.prompt_tokens,
                    "output_tokens": self.usage.completion_tokens,
                }
            )
            self.stats.note_stop_reason(self.finish_reason)
            return self.end()
        return event + b"\n\n" if event.startswith(b":") else b""  # a comment keeps the connection alive

    def _chunk(self, chunk: ChatAnswer) -> bytes:
        if chunk.timings:
            self.stats.note_timings(chunk.timings)
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.account:
            self.last = chunk
        if (progress := chunk.prompt_progress) is not None:
            self.usage.prompt_tokens = progress.total
            self.usage.prompt_tokens_details.cached_tokens = progress.cache
            return b""
        sent = b"" if self._has_begun else self._begin(chunk)
        for choice in chunk.choices:
            said = choice.delta
            if said.reasoning_content:
                self.reasoning_chars += len(said.reasoning_content)
                sent += self.add_reasoning(said.reasoning_content)
            if said.content:
                self.other_chars += len(said.content)
                sent += self.add_text(said.content, (choice.logprobs and choice.logprobs.content) or [])
            for piece in said.tool_calls:
                sent += self._add_call(piece)
            self.finish_reason = choice.finish_reason or self.finish_reason
        return sent

    def _begin(self, chunk: ChatAnswer) -> bytes:
        self._has_begun = True
        return self.begin(chunk)

    def _add_call(self, piece: CallPiece) -> bytes:
        sent = b""
        if piece.index != self._call:
            self._call = piece.index
            sent = self.begin_call(piece.id, piece.function.name)
        if piece.function.arguments:
            self.other_chars += len(piece.function.arguments)
            sent += self.add_arguments(piece.function.arguments)
        return sent

    # --- what a dialect makes of it ---------------------------------------------------------------------

    def begin(self, chunk: ChatAnswer) -> bytes:
        """The prompt is read, and the first token is about to come."""
        raise NotImplementedError

    def add_reasoning(self, text: str) -> bytes:
        raise NotImplementedError

    def add_text(self, text: str, logprobs: list[dict[str, object]]) -> bytes:
        raise NotImplementedError

    def begin_call(self, call_id: str, name: str) -> bytes:
        raise NotImplementedError

    def add_arguments(self, text: str) -> bytes:
        raise NotImplementedError

    def end(self) -> bytes:
        """The engine finished: `usage`, `finish_reason` and `last` are known."""
        raise NotImplementedError
