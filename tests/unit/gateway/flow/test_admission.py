"""What a request reserves of its replica's context: everything that it may need, counted whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.catalog.registry import Registry
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.errors import ContextLengthExceeded
from foundrylocal.gateway.flow.admission import Admission
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.pool.roster import Entry, Replica
from foundrylocal.wire.load_options import EffectiveOptions
from tests.running import CHAT_MODEL
from tests.unit.gateway.dialects.all_routes import ROUTES

CONTEXT, SLOTS, PROMPT = 1000, 4, 300
CHAT, TEXT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"
LONG = "word " * 100
TURN: dict[str, Any] = {"messages": [{"role": "user", "content": LONG}]}
# A request to each endpoint that generates, with answers of 100 tokens: what it is sure to take of the context.
WHOLE: list[tuple[str, dict[str, Any], int]] = [
    (CHAT, TURN | {"max_tokens": 100}, 400),
    (CHAT, TURN | {"max_completion_tokens": 100}, 400),
    (CHAT, TURN | {"max_tokens": 100, "n": 3}, 600),
    (CHAT, TURN | {"max_tokens": 100, "n": 9}, 700),  # four at once, the others in turn
    (TEXT, {"prompt": LONG, "max_tokens": 100}, 400),
    (TEXT, {"prompt": [LONG, "b"], "max_tokens": 100}, 500),
    (TEXT, {"prompt": [LONG, "b"], "max_tokens": 100, "n": 2}, 700),
    (TEXT, {"prompt": [[1] * 200, [2] * 100], "max_tokens": 100}, 500),
    (MESSAGES, TURN | {"max_tokens": 100}, 400),
    (RESPONSES, {"input": LONG, "max_output_tokens": 100}, 400),
]


class Engine:
    """Counts every prompt as so many tokens."""

    def __init__(self, tokens: int = PROMPT) -> None:
        self.tokens = tokens

    async def count(self, address: Address, request: InferenceRequest, at_once: int) -> int | None:
        return self.tokens


def new_replica() -> Replica:
    options = EffectiveOptions(context_size=CONTEXT, parallel=SLOTS)
    spec = ReplicaSpec("one", "a/b", Path("/none"), None, 1, 1, options)
    replica = Replica(Entry(Registry.load().find(CHAT_MODEL)), spec, 0.0)
    replica._address = Address("unix:///none", "", 1)
    return replica


def new_request(path: str, body: dict[str, Any]) -> InferenceRequest:
    parsed, engine = ROUTES[path].dialect.prepare(json.dumps(body).encode())
    nobody: Any = None  # nothing is sent to the client by an admission
    return InferenceRequest(ROUTES[path], parsed, engine, "a", RequestStats(path, 0.0), nobody, nobody)


async def free_beside(path: str, body: dict[str, Any]) -> int:
    """What the whole context has left while the request runs."""
    admission, replica, request = Admission(Engine().count), new_replica(), new_request(path, body)
    async with admission.admit(replica, request):
        assert request.answer_tokens == 100
        return admission._budgets[replica].free_tokens


@pytest.mark.parametrize(("path", "body", "taken"), WHOLE)
def test_prompts_and_answers_count_whole(path: str, body: dict[str, Any], taken: int) -> None:
    assert anyio.run(free_beside, path, body) == CONTEXT - taken


@pytest.mark.parametrize(("path", "body", "taken"), WHOLE)
def test_what_does_not_fit_beside_it_waits_until_it_has_ended(
    path: str, body: dict[str, Any], taken: int
) -> None:
    async def main() -> None:
        # What is left is one token too few for it.
        engine = Engine(CONTEXT - taken)
        admission, replica = Admission(engine.count), new_replica()
        order: list[str] = []

        async def second(ended: anyio.Event) -> None:
            async with admission.admit(replica, new_request(CHAT, TURN | {"max_tokens": 1})):
                order.append("second")
                assert ended.is_set()

        async with anyio.create_task_group() as group:
            ended = anyio.Event()
            engine.tokens = PROMPT
            async with admission.admit(replica, new_request(path, body)):
                engine.tokens = CONTEXT - taken
                group.start_soon(second, ended)
                await anyio.wait_all_tasks_blocked()
                order.append("first")
                ended.set()
        assert order == ["first", "second"]

    anyio.run(main)


@pytest.mark.parametrize(("path", "body", "taken"), WHOLE)
def test_prompts_that_leave_no_token_for_each_answer_are_refused_by_their_field(
    path: str, body: dict[str, Any], taken: int
) -> None:
    async def main() -> None:
        request = new_request(path, body)
        answers = min(request.body.answer_count, SLOTS)
        async with Admission(Engine(CONTEXT - answers).count).admit(new_replica(), request):
            assert request.answer_tokens == 1
        with pytest.raises(ContextLengthExceeded) as caught:
            async with Admission(Engine(CONTEXT - answers + 1).count).admit(new_replica(), request):
                pass
        assert caught.value.param == request.body.content_field

    anyio.run(main)


def test_what_generates_nothing_reserves_nothing() -> None:
    async def main() -> None:
        engine = Engine(CONTEXT * 9)
        for path, body in (("/v1/embeddings", {"input": LONG}), ("/tokenize", {"content": LONG})):
            async with Admission(engine.count).admit(new_replica(), new_request(path, body)):
                pass

    anyio.run(main)
