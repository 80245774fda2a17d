"""The way of a request to a worker, on a real server, pool and queue, with workers in memory, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.engine.replica import Address
from foundrylocal.errors import (
    FoundryLocalError,
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    ModelUnloaded,
    QueueFull,
    ServerShuttingDown,
    WorkerCrashed,
)
from foundrylocal.gateway.flow.dispatch import RECOVERY_TIMEOUT_S, Dispatcher
from foundrylocal.gateway.flow.queue import FairQueue
from foundrylocal.gateway.flow.relay import NothingSent, WhyGone
from foundrylocal.gateway.flow.side_work import MAX_RUNNING
from foundrylocal.gateway.flow.stuck import StuckEngines
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.keys.api_key import PUBLISHED_CALLER, ApiKey, Caller
from foundrylocal.keys.errors import RateLimitExceeded
from foundrylocal.keys.keyring import Keyring
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.gateway.dialects.all_routes import ROUTES
from tests.unit.server.rig import ROOM_FOR_ONE, ServerRig, ServerRunner

CHAT, EMBEDDINGS, TOKENIZE = "/v1/chat/completions", "/v1/embeddings", "/tokenize"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
Act = Callable[[InferenceRequest, WhyGone], Awaitable[None]]


class Workers:
    """What workers do with the requests that reach them: one act each, in order; the rest are answered at once."""

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.reached: list[str] = []  # the model of each request that came

    async def __call__(
        self, address: Address, request: InferenceRequest, why_gone: WhyGone, reader_timeout_s: float
    ) -> None:
        self.reached.append(address.url.partition("#")[0].rpartition("/")[2])
        await anyio.lowlevel.checkpoint()
        if self.acts:
            await self.acts.pop(0)(request, why_gone)


async def unreachable(request: InferenceRequest, why_gone: WhyGone) -> None:
    raise NothingSent


class Held:
    """An answer that goes on until it is let go, or that breaks off."""

    def __init__(self) -> None:
        self.has_come, self.may_end = anyio.Event(), anyio.Event()
        self.is_broken_at: bool | None = None  # whether it had begun by then

    async def __call__(self, request: InferenceRequest, why_gone: WhyGone) -> None:
        self.has_come.set()
        await self.may_end.wait()
        if self.is_broken_at is not None:
            raise await why_gone(self.is_broken_at)

    def break_off(self, *, has_begun: bool) -> None:
        self.is_broken_at = has_begun
        self.may_end.set()


class Desk:
    """A dispatcher for one scenario; `outcomes` holds what became of each request, in the order of their ends."""

    def __init__(self, rig: ServerRig, *acts: Act, keys_dir: Path | None = None) -> None:
        self.rig, self.workers = rig, Workers(*acts)
        self.keyring = Keyring(keys_dir or Path("no-keys"))
        self.queue = FairQueue(lambda: rig.settings.current.queue_size)
        self.dispatcher = Dispatcher(
            rig.server,
            self.queue,
            rig.settings,
            StuckEngines(rig.launcher.kill),
            self.keyring,
            rig.presets,
            send_to_worker=self.workers,
            count_prompt=self.count,
        )
        self.outcomes: list[Any] = []

    def request(self, path: str = CHAT, client: str = "a", **fields: Any) -> InferenceRequest:
        base = {EMBEDDINGS: {"input": "a"}, TOKENIZE: {"content": "a"}}.get(path, HELLO)
        body, engine = ROUTES[path].dialect.prepare(json.dumps(base | fields).encode())
        nobody: Any = None  # nothing is sent to the client by a dispatcher
        return InferenceRequest(ROUTES[path], body, engine, client, RequestStats(path, 0.0), nobody, nobody)

    async def ask(self, *arguments: Any, caller: Caller = PUBLISHED_CALLER, **fields: Any) -> None:
        request = self.request(*arguments, **fields)
        request.caller = caller
        try:
            await self.dispatcher.answer(request)
            self.outcomes.append(request)
        except FoundryLocalError as error:
            self.outcomes.append(error)

    async def count(self, address: Address, request: InferenceRequest, at_once: int) -> int:
        """Every prompt has ten tokens."""
        await anyio.lowlevel.checkpoint()
        return 10

    def running(self) -> int:
        return sum(one.running for one in self.queue.snapshot().values())


def test_a_request_reaches_the_current_model(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        desk = Desk(rig)
        await desk.ask()
        await desk.ask(model=CHAT_MODEL.lower())
        assert desk.workers.reached == [CHAT_MODEL] * 2
        stats = desk.outcomes[0].stats
        assert stats.model_id.endswith(CHAT_MODEL) and stats.context_size

    on_server(scenario)


def test_a_named_model_is_loaded_and_an_unknown_one_is_named(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        desk = Desk(rig)
        await desk.ask(model=BASE_MODEL)
        assert desk.workers.reached == [BASE_MODEL] and desk.outcomes[0].stats.load_s > 0
        await desk.ask(model="nobody")
        assert isinstance(desk.outcomes[1], ModelNotFound) and desk.outcomes[1].param == "model"

    on_server(scenario)


def test_without_a_server_there_is_nobody_to_answer(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        desk = Desk(rig)
        await desk.ask()
        assert isinstance(desk.outcomes[0], ServerShuttingDown) and not desk.workers.reached

    on_server(scenario)


def test_a_request_that_reached_no_worker_is_sent_again(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        desk = Desk(rig, unreachable, unreachable)
        await desk.ask()
        assert len(desk.workers.reached) == 3 and isinstance(desk.outcomes[0], InferenceRequest)

    on_server(scenario)


def test_a_request_that_a_crash_met_before_it_was_sent_waits_for_the_return(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        async def crash_before(request: InferenceRequest, why_gone: WhyGone) -> None:
            rig.launcher.crash(rig.chat.model_id)
            await anyio.sleep(0.1)
            raise NothingSent

        await rig.start()
        desk = Desk(rig, crash_before)
        await desk.ask()
        assert isinstance(desk.outcomes[0], InferenceRequest), desk.outcomes
        assert desk.workers.reached == [CHAT_MODEL] * 2

    on_server(scenario)


def test_that_has_an_end(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        desk = Desk(rig, *[unreachable] * 1000)
        began = anyio.current_time()
        await desk.ask()
        assert isinstance(desk.outcomes[0], ModelLoading)
        assert RECOVERY_TIMEOUT_S <= anyio.current_time() - began <= RECOVERY_TIMEOUT_S + 1
        assert desk.running() == 0

    on_server(scenario)


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_request_that_a_worker_had_when_it_crashed_is_not_repeated(
    on_server: ServerRunner, has_begun: bool
) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        desk = Desk(rig, held)
        async with anyio.create_task_group() as group:
            group.start_soon(desk.ask)
            await held.has_come.wait()
            rig.launcher.crash(rig.chat.model_id, "It was ended by signal SIGSEGV.")
            held.break_off(has_begun=has_begun)
        (error,) = desk.outcomes
        assert isinstance(error, WorkerCrashed) and "SIGSEGV" in str(error.details)
        assert len(desk.workers.reached) == 1 and desk.running() == 0

    on_server(scenario)


def test_a_connection_that_breaks_while_the_worker_lives_is_a_crash_too(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        held.break_off(has_begun=False)
        desk = Desk(rig, held)
        await desk.ask()
        assert isinstance(desk.outcomes[0], WorkerCrashed)

    on_server(scenario)


def test_an_answer_that_an_unload_broke_off_says_so(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        desk = Desk(rig, held)
        async with anyio.create_task_group() as group:
            group.start_soon(desk.ask)
            await held.has_come.wait()
            group.start_soon(rig.pool.unload_all, 0)
            await anyio.sleep(0.05)
            held.break_off(has_begun=True)
        assert isinstance(desk.outcomes[0], ModelUnloaded) and len(desk.workers.reached) == 1

    on_server(scenario)


def test_a_request_that_an_unload_met_before_its_answer_loads_the_model_again(
    on_server: ServerRunner,
) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        desk = Desk(rig, held)
        async with anyio.create_task_group() as group:
            group.start_soon(desk.ask)
            await held.has_come.wait()
            group.start_soon(rig.pool.unload_all, 0)
            await anyio.sleep(0.05)
            held.break_off(has_begun=False)
        assert isinstance(desk.outcomes[0], InferenceRequest)
        assert desk.workers.reached == [CHAT_MODEL] * 2

    on_server(scenario)


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_stop_ends_the_answers_under_way(on_server: ServerRunner, has_begun: bool) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        desk = Desk(rig, held)
        async with anyio.create_task_group() as group:
            group.start_soon(desk.ask)
            await held.has_come.wait()
            group.start_soon(rig.server.stop)
            await anyio.sleep(0.05)
            held.break_off(has_begun=has_begun)
        assert isinstance(desk.outcomes[0], ServerShuttingDown)

    on_server(scenario)


def test_while_a_crashed_model_returns_new_requests_are_refused_and_waiting_ones_wait(
    on_server: ServerRunner,
) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        desk = Desk(rig, held)
        async with anyio.create_task_group() as group:
            group.start_soon(desk.ask)
            await held.has_come.wait()
            group.start_soon(desk.ask)  # has to wait for the slot
            await anyio.sleep(0.1)
            rig.launcher.crash(rig.chat.model_id)
            held.break_off(has_begun=False)
            await anyio.sleep(0.6)
            await desk.ask(TOKENIZE)
        crashed, refused, waited = desk.outcomes
        assert isinstance(crashed, WorkerCrashed) and isinstance(refused, ModelLoading)
        assert isinstance(waited, InferenceRequest) and waited.stats.load_s > 0

    on_server(scenario, parallel=1)


def test_a_switch_takes_waiting_requests_along(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start()
        held = Held()
        desk = Desk(rig, held)
        async with anyio.create_task_group() as group:
            group.start_soon(desk.ask)
            await held.has_come.wait()
            group.start_soon(desk.ask)  # in the queue of the old model
            await anyio.sleep(0.1)
            group.start_soon(rig.switch)
            await anyio.sleep(0.1)
            held.may_end.set()
        assert desk.workers.reached == [CHAT_MODEL, BASE_MODEL]
        assert desk.outcomes[1].stats.model_id.endswith(BASE_MODEL)

    on_server(scenario, parallel=1)


@pytest.mark.parametrize("is_waiting", [False, True])
def test_a_client_that_leaves_gives_back_its_place(on_server: ServerRunner, is_waiting: bool) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        desk = Desk(rig, held)
        async with anyio.create_task_group() as group:
            if is_waiting:
                group.start_soon(desk.ask)
                await held.has_come.wait()
            async with anyio.create_task_group() as client:
                client.start_soon(desk.ask)
                await anyio.sleep(0.1)
                client.cancel_scope.cancel()
            held.may_end.set()
        assert desk.running() == 0 and len(desk.workers.reached) == 1
        await desk.ask()
        assert isinstance(desk.outcomes[-1], InferenceRequest)

    on_server(scenario, parallel=1)


def test_a_key_whose_tokens_ran_out_while_it_waited_gets_no_slot(
    on_server: ServerRunner, tmp_path: Path
) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        desk = Desk(rig, held, keys_dir=tmp_path)
        _, secret = await desk.keyring.add(ApiKey("alice", "", 0.0, tokens_per_day=10))
        alice = desk.keyring.identify(secret.encode())
        assert alice is not None
        async with anyio.create_task_group() as group:
            group.start_soon(desk.ask)
            await held.has_come.wait()
            group.start_soon(partial(desk.ask, caller=alice))
            await anyio.sleep(0.1)
            desk.keyring.add_tokens(alice, 10)
            held.may_end.set()
        assert isinstance(desk.outcomes[1], RateLimitExceeded)
        assert len(desk.workers.reached) == 1 and desk.running() == 0

    on_server(scenario, parallel=1)


def test_a_full_queue_refuses_and_what_takes_no_slot_passes(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        desk = Desk(rig, held)
        async with anyio.create_task_group() as group:
            group.start_soon(desk.ask)
            await held.has_come.wait()
            group.start_soon(desk.ask)
            await anyio.sleep(0.1)
            await desk.ask()
            await desk.ask(TOKENIZE)
            held.may_end.set()
        refused, counted, *_ = desk.outcomes
        assert isinstance(refused, QueueFull) and counted.route.path == TOKENIZE
        assert len(desk.outcomes) == 4

    on_server(scenario, parallel=1, queue_size=1)


def test_counts_of_tokens_have_a_limit_of_their_own_and_leave_with_their_client(
    on_server: ServerRunner,
) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        counts = [Held() for _ in range(MAX_RUNNING + 2)]
        desk = Desk(rig, *counts)
        leaving = anyio.CancelScope()

        async def leave() -> None:
            with leaving:
                async with anyio.create_task_group() as clients:
                    for _ in range(MAX_RUNNING):
                        clients.start_soon(desk.ask, TOKENIZE)

        async with anyio.create_task_group() as group:
            group.start_soon(leave)
            for count in counts[:MAX_RUNNING]:
                await count.has_come.wait()
            for _ in range(2):
                group.start_soon(desk.ask, TOKENIZE)
            await anyio.sleep(1)
            assert len(desk.workers.reached) == MAX_RUNNING
            leaving.cancel()
            for count in counts[MAX_RUNNING:]:
                with anyio.fail_after(10):
                    await count.has_come.wait()
                count.may_end.set()
        assert len(desk.outcomes) == 2 and desk.running() == 0

    on_server(scenario)


def test_several_answers_take_as_many_slots(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        held = Held()
        desk = Desk(rig, held)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: desk.ask(n=3))
            await held.has_come.wait()
            assert desk.running() == 3
            held.may_end.set()
        await desk.ask(n=9)
        assert [request.slots for request in desk.outcomes] == [4, 4]  # what the relay splits by

    on_server(scenario, parallel=4)


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (EMBEDDINGS, {}, "model"),
        (CHAT, {"messages": [{"role": "user", "content": [IMAGE]}]}, "messages"),
        (
            CHAT,
            {"messages": [*HELLO["messages"], {"role": "tool", "tool_call_id": "a", "content": [IMAGE]}]},
            "messages",
        ),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_field(
    on_server: ServerRunner, path: str, fields: dict[str, Any], param: str
) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        desk = Desk(rig)
        await desk.ask(path, **fields)
        (error,) = desk.outcomes
        assert isinstance(error, InvalidRequest) and error.param == param and not desk.workers.reached
        assert ("images" in error.message) is (param == "messages")

    on_server(scenario)
