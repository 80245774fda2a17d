"""A chat stream of the engine as the events of a response.

Invariant: events are numbered in order; one item is open at a time, and the last event's response holds the items as
they were done.
"""

from __future__ import annotations

from collections.abc import Callable

from foundrylocal.errors import FoundryLocalError, InvalidRequest
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import ChatAnswer, Choice, reasoning_tokens
from foundrylocal.gateway.dialects.chat_stream import ChatStream
from foundrylocal.gateway.dialects.events import dump
from foundrylocal.gateway.dialects.ids import with_prefix
from foundrylocal.gateway.dialects.responses.answer import (
    call_item,
    logprobs_of,
    message_item,
    new_item_id,
    reasoning_item,
    response_id,
    text_part,
)
from foundrylocal.gateway.dialects.responses.resource import finished, response_frame, usage_of
from foundrylocal.gateway.dialects.responses.shapes import ResponsesBody
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.kit.clock import now_s

_OPEN = "in_progress"


class ResponsesStream(ChatStream):
    """Translates one stream; `on_end` gets the finished response."""

    def __init__(self, body: ResponsesBody, stats: RequestStats, on_end: Callable[[Json], None]) -> None:
        super().__init__(stats)
        self._body = body
        self._on_end = on_end
        self._number = 0
        self._key = ""
        self._frame: Json = {}
        self._output: list[Json] = []
        self._item: Json | None = None
        self._text: list[str] = []
        self._logprobs: list[Json] = []

    # --- the whole --------------------------------------------------------------------------------------

    def begin(self, chunk: ChatAnswer) -> bytes:
        self._key = with_prefix("", chunk.id)
        self._frame = response_frame(self._body, response_id(chunk), self.stats.model_id, chunk.created)
        return self._write("response.created", response=self._frame) + self._write(
            "response.in_progress", response=self._frame
        )

    def end(self) -> bytes:
        is_cut = self.finish_reason == "length"
        closed = self._close("incomplete" if is_cut else "completed", "final_answer")
        reasoning = reasoning_tokens(self.usage, self.reasoning_chars, self.other_chars)
        answer = ChatAnswer(choices=[Choice(finish_reason=self.finish_reason)], account=self.last.account)
        usage = usage_of(self.usage, reasoning)
        response = finished(self._frame, self._output, answer, usage, int(now_s()))
        self._on_end(response)
        return closed + self._write(f"response.{response['status']}", response=response)

    def fail(self, error: FoundryLocalError) -> bytes:
        """The response failed after it began."""
        if not self._frame:
            return b""
        code = "invalid_prompt" if isinstance(error, InvalidRequest) else "server_error"
        about = {"code": code, "message": error.message}  # of the codes that the schema knows
        response = {**self._frame, "status": "failed", "error": about, "output": self._output}
        return self._write("response.failed", response=response)

    def next_number(self) -> int:
        self._number += 1
        return self._number - 1

    def _write(self, kind: str, **fields: object) -> bytes:
        body = {"type": kind, "sequence_number": self.next_number(), **fields}
        return b"event: " + kind.encode() + b"\ndata: " + dump(body) + b"\n\n"

    # --- pieces -----------------------------------------------------------------------------------------

    def add_reasoning(self, text: str) -> bytes:
        sent = b""
        if self._kind != "reasoning":
            sent = self._close()
            name = new_item_id("rs", self._key, len(self._output))
            sent += self._open(reasoning_item(name, None, _OPEN))
            part = {"type": "summary_text", "text": ""}
            sent += self._piece("response.reasoning_summary_part.added", summary_index=0, part=part)
        self._text.append(text)
        return sent + self._piece("response.reasoning_summary_text.delta", summary_index=0, delta=text)

    def add_text(self, text: str, logprobs: list[Json]) -> bytes:
        sent = b""
        if self._kind != "message":
            sent = self._close()
            name = new_item_id("msg", self._key, len(self._output))
            sent += self._open(message_item(name, [], _OPEN))
            sent += self._piece("response.content_part.added", content_index=0, part=text_part("", []))
        found = logprobs_of(logprobs, self._body)
        self._text.append(text)
        self._logprobs += found
        return sent + self._piece("response.output_text.delta", content_index=0, delta=text, logprobs=found)

    def begin_call(self, call_id: str, name: str) -> bytes:
        closed = self._close(phase="commentary")
        return closed + self._open(call_item(new_item_id("fc", self._key, len(self._output)), call_id, name))

    def add_arguments(self, text: str) -> bytes:
        self._text.append(text)
        return self._piece("response.function_call_arguments.delta", delta=text)

    @property
    def _kind(self) -> str | None:
        return self._item["type"] if self._item is not None else None

    def _piece(self, kind: str, **fields: object) -> bytes:
        item_id = self._item["id"] if self._item is not None else ""
        return self._write(kind, item_id=item_id, output_index=len(self._output), **fields)

    def _open(self, item: Json) -> bytes:
        self._item, self._text, self._logprobs = item, [], []
        return self._write("response.output_item.added", output_index=len(self._output), item=item)

    def _close(self, status: str = "completed", phase: str = "commentary") -> bytes:
        """End the open item, if one is."""
        item, text = self._item, "".join(self._text)
        if item is None:
            return b""
        if item["type"] == "reasoning":
            sent, done = self._close_reasoning(item, text, status)
        elif item["type"] == "message":
            sent, done = self._close_message(item, text, status, phase)
        else:
            done = {**item, "arguments": text, "status": status}
            sent = self._piece("response.function_call_arguments.done", arguments=text, name=item["name"])
        sent += self._write("response.output_item.done", output_index=len(self._output), item=done)
        self._output.append(done)
        self._item = None
        return sent

    def _close_reasoning(self, item: Json, text: str, status: str) -> tuple[bytes, Json]:
        part = {"type": "summary_text", "text": text}
        sent = self._piece("response.reasoning_summary_text.done", summary_index=0, text=text)
        sent += self._piece("response.reasoning_summary_part.done", summary_index=0, part=part)
        return sent, reasoning_item(item["id"], text, status)

    def _close_message(self, item: Json, text: str, status: str, phase: str) -> tuple[bytes, Json]:
        part = text_part(text, self._logprobs)
        sent = self._piece("response.output_text.done", content_index=0, text=text, logprobs=self._logprobs)
        sent += self._piece("response.content_part.done", content_index=0, part=part)
        return sent, message_item(item["id"], [part], status, phase)
