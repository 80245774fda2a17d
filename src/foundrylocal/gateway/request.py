"""The one object that a request is, from its body to its worker and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import randbits
from typing import Any

from foundrylocal.gateway.dialects.base import EngineRequest, Rewriter
from foundrylocal.gateway.dialects.body import Body
from foundrylocal.gateway.routes import Route
from foundrylocal.gateway.stats.captures import Capture
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.keys.api_key import PUBLISHED_CALLER, Caller
from foundrylocal.web.asgi import Send
from foundrylocal.web.peer import Peer
from foundrylocal.wire.presets import Preset


@dataclass(eq=False, slots=True)
class InferenceRequest:
    """A checked request, what the engine gets of it, and the way back to its client.

    `caller` is the owner of its key, `client` the unit of fairness among the requests with that key.
    `is_admitted` is set once it has waited in the queue or tried to reach a worker: from then on a crash makes it
    wait, not fail. One that `is_repeated` was lost with a node, and is not sent again after a second time. With
    `may_start` it starts a stopped server. `deadline` is when that wait ends, in monotonic seconds. `rewriter` turns
    the engine's events into the client's, once a stream has begun. `answer_tokens` is what each of its answers may
    have, once it has its part of the context. `slots` is how many answers the engine of its replica computes at once,
    once it has one. `tag` is its number in the engine's report of its slots. `capture` keeps its bodies, if
    capture_requests asks for that. `is_answered` is set once the last byte is on its way.
    `preset` is the one whose values fill the fields that it does not have, once its model is known.
    """

    route: Route
    body: Body
    engine: EngineRequest
    client: str
    stats: RequestStats
    send: Send
    peer: Peer
    caller: Caller = PUBLISHED_CALLER
    is_admitted: bool = False
    may_start: bool = False
    deadline: float | None = None
    is_repeated: bool = False
    rewriter: Rewriter | None = None
    answer_tokens: int | None = None
    slots: int | None = None
    capture: Capture | None = None
    is_answered: bool = False
    preset: Preset | None = None
    _own_engine: EngineRequest | None = None
    _filled: tuple[str, ...] = ()
    tag: int = field(default_factory=lambda: randbits(30) + 1)

    @property
    def id(self) -> str:
        """Its name in our log, in the record of requests and in the header `x-request-id`."""
        return self.stats.id

    def take_defaults(self, engine: EngineRequest, filled: dict[str, Any]) -> None:
        """Use the engine's request with a preset's values, and fill these fields of the body with them."""
        self._own_engine, self.engine = self.engine, engine
        self._filled = tuple(filled)
        for name, value in filled.items():
            setattr(self.body, name, value)

    def withdraw_defaults(self) -> None:
        """Be again what the client sent: another model, with another preset, is to answer."""
        self.engine = self._own_engine or self.engine
        for name in self._filled:
            setattr(self.body, name, None)
        self._own_engine, self._filled = None, ()
