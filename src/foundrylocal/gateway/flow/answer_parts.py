"""More answers than an engine has slots: several requests to it in turn, read as one stream.

The engine refuses `n` above its slots, so such a request is split into parts: each asks for at most that many answers
to every prompt.

Invariant: the parts read like one stream of the engine with all answers. Events are whole, choices are numbered as in
the whole request (prompt * n + answer), all chunks have the first one's id, and only the last part has an end mark.
An error ends the stream: no further part is sent.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from foundrylocal.engine.client import Answer, AnswerBroken, WorkerUnreachable, ask
from foundrylocal.engine.replica import Address
from foundrylocal.errors import SystemExhausted
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.events import dump, split_events, whole_events
from foundrylocal.gateway.request import InferenceRequest

_DATA = b"data: "
_END_MARK = b"data: [DONE]"
_IDENTITY = ("id", "created")
_DURATIONS = ("prompt_ms", "predicted_ms")


@dataclass(frozen=True, slots=True)
class Part:
    """`count` answers to each prompt, beginning with the number `first`."""

    first: int
    count: int


def split_answers(answers_per_prompt: int, slots: int) -> list[Part]:
    """The parts of a request, each of at most as many answers per prompt as the engine has slots."""
    return [
        Part(first, min(slots, answers_per_prompt - first)) for first in range(0, answers_per_prompt, slots)
    ]


def part_body(body: bytes, part: Part, seed: int | None) -> bytes:
    """The engine's JSON body for one part. Its seed is shifted, or each part would have the same answers."""
    # The engine takes the last of two equal keys.
    fields: Json = {"n": part.count}
    if seed is not None:
        fields["seed"] = seed + part.first  # `engine_seed` leaves room for it
    return b"%b,%b" % (body[:-1], dump(fields)[1:])


@asynccontextmanager
async def ask_in_parts(
    address: Address, request: InferenceRequest, parts: list[Part]
) -> AsyncIterator[AnswerInParts]:
    """Send the parts to a worker one after the other; leaving the block ends the one that is under way.

    Raises WorkerUnreachable, before anything was sent.
    """
    async with AsyncExitStack() as exchange:
        answer = AnswerInParts(address, request, parts, exchange)
        await answer.open()
        yield answer


class AnswerInParts:
    """What `Answer` is for one exchange, for several in turn. Its status and content type are the first part's."""

    def __init__(
        self, address: Address, request: InferenceRequest, parts: list[Part], exchange: AsyncExitStack
    ) -> None:
        self.status = 0
        self.content_type = ""
        self._address = address
        self._path = request.engine.path
        self._body = request.engine.body_for(address, request.answer_tokens, request.tag)
        self._seed: int | None = getattr(request.body, "seed", None)
        self._parts = deque(parts)
        self._part = parts[0]
        self._exchange = exchange
        self._is_paused = False
        self._numbering = _Numbering(sum(part.count for part in parts))
        self._rest = b""
        self._answer: Answer

    async def open(self) -> None:
        """Send the next part. Raises WorkerUnreachable."""
        self._part = self._parts.popleft()
        self._rest = b""
        self._numbering.begin_part()
        body = part_body(self._body, self._part, self._seed)
        await self._exchange.aclose()  # of the part before
        self._answer = await self._exchange.enter_async_context(ask(self._address, self._path, body))
        if self._is_paused:
            self._answer.pause()

    async def head(self) -> None:
        """Wait for the status and the headers of the first part. Raises AnswerBroken."""
        await self._answer.head()
        self.status, self.content_type = self._answer.status, self._answer.content_type

    async def block(self) -> bytes:
        """The whole events that have come, at least one; empty at the end of the last part.

        Raises AnswerBroken, and SystemExhausted before a part that could not be sent.
        """
        while True:
            while read := await self._answer.block():
                if events := self._events_of(read):
                    return events
            if not self._has_next():
                return b""
            if failure := await self._next():
                return failure

    async def read(self) -> bytes:
        """All events of all parts, or the error with which the engine refused the first. Raises as `block`."""
        if self.status >= 400:
            return await self._answer.read()
        blocks = []
        while block := await self.block():
            blocks.append(block)
        return b"".join(blocks)

    async def pour(self, take: Callable[[bytes], None]) -> None:
        """Give the events to `take` as they come. Raises as `block`, and what `take` raises."""

        def take_events(read: bytes) -> None:
            if events := self._events_of(read):
                take(events)

        await self._answer.pour(take_events)
        while self._has_next():
            if failure := await self._next():
                take(failure)
                return
            await self._answer.pour(take_events)

    def pause(self) -> None:
        """Take no more from the worker for now, of this part or the next."""
        self._is_paused = True
        self._answer.pause()

    def resume(self) -> None:
        """Continue after a pause."""
        self._is_paused = False
        self._answer.resume()

    def _has_next(self) -> bool:
        return bool(self._parts) and not self._numbering.has_failed

    async def _next(self) -> bytes:
        """Begin the next part; the event that reports the engine's refusal of it, empty when it accepts."""
        try:
            await self.open()
        except WorkerUnreachable as error:
            if error.is_own_shortage:
                raise SystemExhausted(error.reason) from error
            raise AnswerBroken(error.reason) from error
        await self._answer.head()
        if self._answer.status < 400:
            return b""
        self._parts.clear()
        return _error_event(self._answer.status, await self._answer.read())

    def _events_of(self, read: bytes) -> bytes:
        block, self._rest = whole_events(self._rest, read)
        if not block or self._numbering.has_failed:
            return b""
        is_last = not self._parts
        events = (self._numbering.renumber(event, self._part) for event in split_events(block))
        return b"".join(event + b"\n\n" for event in events if is_last or event != _END_MARK)


class _Numbering:
    """Gives the choices of all parts their numbers in the whole request, and their chunks one identity."""

    def __init__(self, answers_per_prompt: int) -> None:
        self._answers_per_prompt = answers_per_prompt
        self._identity: Json = {}
        self._earlier_ms = dict.fromkeys(_DURATIONS, 0.0)
        self._part_ms = dict(self._earlier_ms)
        self.has_failed = False

    def begin_part(self) -> None:
        """What follows is computed after all that came: its times are added to theirs."""
        for name in _DURATIONS:
            self._earlier_ms[name] += self._part_ms[name]
        self._part_ms = dict.fromkeys(_DURATIONS, 0.0)

    def renumber(self, event: bytes, part: Part) -> bytes:
        """The event of a part as one of the whole answer; remembers when it reports an error."""
        if not event.startswith(b"data: {"):
            self.has_failed = self.has_failed or event.startswith(b"error: ")
            return event
        chunk: Json = json.loads(event[len(_DATA) :])
        if "error" in chunk:
            self.has_failed = True
            return event
        for choice in chunk.get("choices") or ():
            prompt, answer = divmod(choice["index"], part.count)
            choice["index"] = prompt * self._answers_per_prompt + part.first + answer
        self._add_earlier(chunk.get("timings") or {})
        self._identity = self._identity or {name: chunk[name] for name in _IDENTITY if name in chunk}
        return _DATA + dump(chunk | self._identity)

    def _add_earlier(self, timings: Json) -> None:
        """Make the times of one answer those since the first part began; answers of one part are side by side."""
        for name in _DURATIONS:
            if isinstance(timings.get(name), int | float):
                self._part_ms[name] = max(self._part_ms[name], timings[name])
                timings[name] += self._earlier_ms[name]


def _error_event(status: int, raw: bytes) -> bytes:
    """The engine's refusal in the form in which it reports an error in a stream."""
    try:
        reported = json.loads(raw)["error"]
    except (ValueError, LookupError, TypeError):
        reported = None
    if not isinstance(reported, dict):
        reported = {"message": f"It answered with status {status}"}
    return _DATA + dump({"error": reported | {"code": status}}) + b"\n\n"
