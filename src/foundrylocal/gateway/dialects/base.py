"""What a dialect is: everything about one published API, from the bytes of a request to those of its answer.

A dialect is a folder with a subclass of `Dialect` for each of its endpoints, and a row for each in `routes.py`.
The defaults here are those of an endpoint that the engine already serves in its published form.

Invariant: a dialect holds no state of a request; what lasts as long as a stream lives in its rewriter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from foundrylocal.engine.replica import Address
from foundrylocal.engine.slots import TAG_FIELD
from foundrylocal.errors import FoundryLocalError, InvalidRequest
from foundrylocal.gateway.dialects.body import Body, Json, engine_fields
from foundrylocal.gateway.dialects.constrained.filters import FilterFactory
from foundrylocal.gateway.dialects.events import note_timings
from foundrylocal.gateway.dialects.parse import parse_body
from foundrylocal.gateway.dialects.prefill import NO_PREFILL, Prefill
from foundrylocal.gateway.errors import client_error
from foundrylocal.gateway.limits.constraint import Constraint
from foundrylocal.gateway.stats.request_stats import RequestStats

NO_LLGUIDANCE = (
    "The engine of this model was built without llguidance, so it cannot enforce a schema, a grammar or a required "
    "tool call. Load the model on the built-in engine, or on a llama-server that was built with -DLLAMA_LLGUIDANCE=ON"
)
Rewriter = Callable[[bytes], bytes]
"""Whole events of the engine's stream in, whole events of the dialect's stream out, in the same order."""
B = TypeVar("B", bound=Body)


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What the engine gets: its path, and the JSON body; and what the answer has to keep, with who sees to it.

    `prefill` is what the engine repeats of the request at the beginning of its whole answer.
    """

    path: str
    body: bytes
    constraint: Constraint | None = None
    new_filter: FilterFactory | None = None
    prefill: Prefill = NO_PREFILL

    @property
    def is_load_only(self) -> bool:
        return not self.path

    def body_for(self, address: Address, answer_tokens: int | None = None, tag: int = 0) -> bytes:
        """The body for a replica, with answers of at most `answer_tokens`, and with the request's tag.

        One whose template opens the model's thoughts has them before the answer. Raises InvalidRequest when the
        replica's engine cannot keep the request's constraint: it would silently ignore it.
        """
        body = self.body
        if self.constraint is not None and not address.has_llguidance:
            raise InvalidRequest(
                NO_LLGUIDANCE, "Send the request without a schema, grammar or required tool call."
            )
        if self.constraint is not None and address.opens_thoughts:
            before, after = self.constraint.grammar, self.constraint.grammar_after_thoughts
            body = body.replace(msgspec.json.encode(before), msgspec.json.encode(after), 1)
        if answer_tokens is None:
            return body
        # The engine takes `n_predict` before every published name, and of two equal keys the last.
        return b'%b,"n_predict":%d,"%b":%d}' % (body[:-1], answer_tokens, TAG_FIELD.encode(), tag)


LOAD_ONLY = EngineRequest("", b"")
"""For a request that loads or unloads its model and asks the engine nothing; see `Dialect.idle_answer`."""


class Dialect(Generic[B]):
    """One endpoint of a published API. `shape` is what its body must be, `engine_path` where it leads."""

    stream_content_type: ClassVar[bytes] = b"text/event-stream"

    def __init__(self, engine_path: str, shape: type[B]) -> None:
        self.engine_path = engine_path
        self.shape = shape
        self._decoder = msgspec.json.Decoder(shape)
        self._function_types = shape.function_types

    # --- the request ------------------------------------------------------------------------------------

    def prepare(self, raw: bytes, owner: str = "") -> tuple[B, EngineRequest]:
        """Parse and check a request and write the engine's. Raises InvalidJson, InvalidRequest.

        `owner` is the name of the key that it came with: what is kept of it belongs to that key.
        """
        body = self.parse(raw)
        body.owner = owner
        self.check(body)
        return body, self.to_engine(body)

    def parse(self, raw: bytes) -> B:
        """Raises InvalidJson, or InvalidRequest that names the field."""
        return parse_body(raw, self._decoder, self._function_types)

    def check(self, body: B) -> None:
        """Refuse what the types of the body let pass, and settle its older spellings. Raises InvalidRequest."""

    def to_engine(self, body: B) -> EngineRequest:
        """The same request in the engine's form."""
        return EngineRequest(self.engine_path, msgspec.json.encode(engine_fields(body)))

    # --- the answer -------------------------------------------------------------------------------------

    def whole(self, raw: bytes, body: B, stats: RequestStats) -> Any:
        """The whole answer for the client. Raises msgspec.DecodeError and LookupError if there is no answer in it."""
        answer = self.decode_answer(raw, body, stats)
        if not isinstance(answer, dict):
            return answer
        stats.note_timings(answer.get("timings") or {})
        stats.note_usage(answer.get("usage") or {})
        stats.note_stop_reason(_stop_reason(answer))
        return self.answer(answer, body, stats)

    def decode_answer(self, raw: bytes, body: B, stats: RequestStats) -> Any:
        """The engine's answer as it is."""
        return msgspec.json.decode(raw)

    def answer(self, answer: Json, body: B, stats: RequestStats) -> Json:
        """The engine's answer completed to what the published schema requires."""
        return answer

    def as_stream(self, whole: Json, body: B) -> bytes | None:
        """The completed answer as a whole stream, for a request whose stream is made of one; None for others."""
        return None

    def stream(self, body: B, stats: RequestStats) -> Rewriter:
        """What turns the engine's events into those of the published API; one for each stream."""

        def pass_on(block: bytes) -> bytes:
            note_timings(block, stats)
            return block

        return pass_on

    def idle_answer(self, body: B) -> Json:
        """The answer to a request that is LOAD_ONLY, once its model is loaded or unloaded."""
        raise NotImplementedError

    # --- errors -----------------------------------------------------------------------------------------

    def own_error(self, error: FoundryLocalError, body: B) -> FoundryLocalError:
        """The error that this API has for the same fact, where its status or its text is another one."""
        return error

    def error_body(self, error: FoundryLocalError) -> Json:
        """An error in the published shape; `param` is always in it."""
        return {"error": client_error(error)}

    def error_event(self, error: FoundryLocalError, stream: Rewriter | None = None) -> bytes:
        """The failure of a stream that has begun, as its last event; `stream` rewrote the events before it."""
        return b"data: " + json.dumps(self.error_body(error), separators=(",", ":")).encode() + b"\n\n"


def _stop_reason(answer: Json) -> Any:
    """Why the first of the engine's answers ended; None for what is no chat and no text completion."""
    match answer.get("choices"):
        case [{"finish_reason": reason}, *_]:
            return reason
    return None
