"""The prompt cache on an engine in memory and a clock that jumps: what is saved, restored and dropped, and when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.catalog.registry import Registry
from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable
from foundrylocal.engine.replica import Address
from foundrylocal.engine.slot_files import RestoredSlot, SavedSlot, SlotActionFailed
from foundrylocal.engine.slots import Slot
from foundrylocal.pool.prompt_cache.prompt_cache import PromptCache, limit_bytes
from foundrylocal.pool.prompt_cache.restoring import DISK_LANE
from foundrylocal.pool.prompt_cache.saving import SAVE_TIMEOUT_S
from foundrylocal.pool.prompt_cache.state_file import read_tokens
from foundrylocal.pool.prompt_cache.store import PromptStore
from foundrylocal.pool.roster import Replica, Roster, State
from foundrylocal.settings.store import SettingsStore
from tests.fakes import virtual_time
from tests.running import CHAT_MODEL
from tests.unit.pool.prompt_cache.state_files import spec, state_bytes

CHAT, LONGER_CHAT, OTHER_CHAT = range(100), range(200), range(1000, 1100)


@dataclass
class FakeSlots:
    """The slots of one engine: `tokens` of each, and which have worked. `raises` and `waits_s` are by action."""

    folder: Path
    tokens: list[list[int]] = field(default_factory=lambda: [[] for _ in range(4)])
    worked: set[int] = field(default_factory=set)
    busy: set[int] = field(default_factory=set)
    raises: dict[str, Exception] = field(default_factory=dict)
    waits_s: dict[str, float] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    restores_only: int | None = None

    def use(self, slot: int, tokens: range) -> None:
        self.tokens[slot], self.worked = list(tokens), self.worked | {slot}

    async def slots(self, address: Address) -> list[Slot]:
        await self._begin("slots")
        return [
            Slot(
                id=number,
                is_processing=number in self.busy,
                id_task=number if number in self.worked else -1,
                n_prompt_tokens=len(tokens),
            )
            for number, tokens in enumerate(self.tokens)
        ]

    async def save(self, address: Address, slot: int, file_name: str) -> SavedSlot:
        path = anyio.Path(self.folder / file_name)
        await path.write_bytes(b"begun")
        await self._begin("save", slot)
        data = state_bytes(self.tokens[slot])
        await path.write_bytes(data)
        return SavedSlot(len(self.tokens[slot]), len(data))

    async def restore(self, address: Address, slot: int, file_name: str) -> RestoredSlot:
        await self._begin("restore", slot)
        self.tokens[slot] = list(read_tokens(self.folder / file_name))[: self.restores_only]
        return RestoredSlot(len(self.tokens[slot]))

    async def erase(self, address: Address, slot: int) -> None:
        await self._begin("erase", slot)
        self.tokens[slot] = []

    async def _begin(self, action: str, slot: int | None = None) -> None:
        self.calls.append(action if slot is None else f"{action} {slot}")
        await anyio.sleep(self.waits_s.get(action, 0))
        if error := self.raises.get(action):
            raise error


@dataclass
class Rig:
    path: Path
    engine: FakeSlots
    store: PromptStore
    cache: PromptCache
    settings: SettingsStore
    roster: Roster

    def replica(self, **changes: Any) -> Replica:
        """A further replica of the model, which is ready."""
        replica = self.roster.add(Registry.load().find(CHAT_MODEL), spec(**changes))
        self.roster.set_ready(replica, self.address())
        return replica

    def address(self, build: str = "engine 1") -> Address:
        return Address("unix:///x", "", 1, build=build, slot_folder=self.path)

    def restart_engine(self) -> None:
        self.engine.tokens, self.engine.worked, self.engine.calls = [[] for _ in range(4)], set(), []

    async def leave(self, replica: Replica) -> None:
        """What the pool does when a replica leaves."""
        self.roster.set_draining(replica, is_recallable=False)
        await self.cache.save(replica)
        self.cache.worker_ended(replica)
        self.roster.set_gone(replica)
        self.restart_engine()

    async def come_back(self, **changes: Any) -> Replica:
        """What the pool does when a replica is ready, before its first request."""
        replica = self.roster.add(Registry.load().find(CHAT_MODEL), spec(**changes))
        await self.cache.restore(replica, self.address())
        self.roster.set_ready(replica, self.address())
        return replica

    async def answer(self, replica: Replica, slot: int, tokens: range, cached: int | None) -> None:
        """A request that used that slot has been answered."""
        self.engine.use(slot, tokens)
        self.cache.note_reuse(replica, len(tokens), cached)
        for _ in range(5):
            await anyio.sleep(0.01)

    def files(self) -> list[str]:
        return (
            sorted(one.name for one in self.path.iterdir() if one.suffix != ".json")
            if self.path.exists()
            else []
        )


Scenario = Callable[[Rig], Awaitable[None]]


@pytest.fixture
def on_cache(tmp_path: Path) -> Callable[..., None]:
    """`on_cache(scenario)` runs an async function on a fresh cache, in virtual time."""

    def run(scenario: Scenario, **settings: Any) -> None:
        async def main() -> None:
            store_of_settings = SettingsStore(tmp_path, settings)
            path = tmp_path / "prompt-cache"
            store = PromptStore(path, limit_bytes(store_of_settings.current))
            engine = FakeSlots(path)
            cache = PromptCache(store, engine, store_of_settings)
            rig = Rig(path, engine, store, cache, store_of_settings, Roster())
            async with anyio.create_task_group() as group:
                await group.start(cache.run)
                store.folder()
                await scenario(rig)
                group.cancel_scope.cancel()

        virtual_time.run(main, DISK_LANE)

    return run


OnCache = Callable[..., None]


def test_a_chat_is_in_a_slot_again_after_the_model_left(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(3, CHAT)
        await rig.leave(replica)
        await rig.come_back()
        assert rig.engine.tokens[0] == list(CHAT)
        assert [prompt.tokens for prompt in rig.cache.prompts()] == [100]

    on_cache(scenario)


def test_a_replica_that_is_replaced_hands_its_idle_chats_over_and_keeps_them(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        rig.replica()
        rig.engine.use(1, LONGER_CHAT)
        rig.engine.use(3, CHAT)
        rig.engine.busy = {1}
        await rig.come_back(context_size=1024, parallel=2)
        assert rig.engine.calls == ["slots", "save 3", "restore 0"]
        assert rig.engine.tokens[3] == list(CHAT)
        await rig.come_back(kv_cache_type="q8_0")
        assert rig.engine.calls[3:] == []

    on_cache(scenario)


def test_only_slots_with_a_prompt_worth_it_are_saved_the_longest_first(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, range(10))
        rig.engine.use(1, OTHER_CHAT)
        rig.engine.use(2, LONGER_CHAT)
        await rig.cache.save(replica)
        assert rig.engine.calls == ["slots", "save 2", "save 1"]

    on_cache(scenario)


def test_a_slot_without_a_request_since_it_was_restored_is_not_written_again(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        await rig.leave(replica)
        replica = await rig.come_back()
        before = rig.cache.prompts()
        await rig.cache.save(replica)
        assert "save 0" not in rig.engine.calls
        assert rig.cache.prompts() == before

    on_cache(scenario)


def test_slots_at_work_are_saved_only_when_their_clients_have_left(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        for in_flight, expected in ((1, ["slots", "save 1"]), (0, ["slots", "save 0", "save 1"])):
            replica = rig.replica()
            replica.in_flight = in_flight
            rig.engine.use(0, LONGER_CHAT)
            rig.engine.use(1, OTHER_CHAT)
            rig.engine.busy, rig.engine.calls = {0}, []
            await rig.cache.save(replica)
            assert rig.engine.calls == expected

    on_cache(scenario)


@pytest.mark.parametrize("action", ["slots", "save"])
def test_an_engine_that_hangs_holds_an_unload_up_for_the_bound_and_leaves_nothing(
    on_cache: OnCache, action: str
) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        rig.engine.waits_s[action] = 1000
        began = anyio.current_time()
        await rig.leave(replica)
        assert anyio.current_time() - began == pytest.approx(SAVE_TIMEOUT_S, abs=0.1)
        await rig.cache.clear("org/other")
        assert (rig.files(), rig.cache.prompts()) == ([], ())

    on_cache(scenario)


def test_what_was_saved_within_the_bound_counts(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, LONGER_CHAT)
        rig.engine.use(1, OTHER_CHAT)
        rig.engine.waits_s["save"] = 1.5
        await rig.leave(replica)
        await rig.come_back()
        assert [prompt.tokens for prompt in rig.cache.prompts()] == [200]
        assert len(rig.files()) == 1

    on_cache(scenario)


@pytest.mark.parametrize(
    "error", [SlotActionFailed("no"), AnswerBroken("closed"), WorkerUnreachable(OSError(2, "gone"))], ids=repr
)
@pytest.mark.parametrize("action", ["slots", "save"])
def test_a_save_that_fails_is_not_noticed_by_who_unloads(
    on_cache: OnCache, action: str, error: Exception
) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        rig.engine.raises[action] = error
        await rig.leave(replica)
        await rig.cache.clear("org/other")
        assert (rig.files(), rig.cache.prompts()) == ([], ())

    on_cache(scenario)


def test_two_unloads_of_one_replica_share_one_save(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        rig.engine.waits_s["save"] = 1
        async with anyio.create_task_group() as group:
            group.start_soon(rig.leave, replica)
            group.start_soon(rig.leave, replica)
        await rig.come_back()
        assert len(rig.cache.prompts()) == 1

    on_cache(scenario)


def test_the_last_used_are_restored_as_slots_and_context_allow(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        for slot in range(4):
            rig.engine.use(slot, range(slot * 1000, slot * 1000 + 100 * (slot + 1)))
        await rig.leave(replica)
        await rig.come_back(parallel=2, context_size=4096)
        assert [len(tokens) for tokens in rig.engine.tokens] == [100, 200, 0, 0]
        rig.restart_engine()
        await rig.come_back(context_size=450)
        assert [len(tokens) for tokens in rig.engine.tokens] == [100, 200, 0, 0]

    on_cache(scenario)


@pytest.mark.parametrize(
    "how", ["one changed byte", "the engine refuses it", "the engine takes a part", "a crash"]
)
def test_a_prompt_that_cannot_be_restored_whole_is_dropped_and_its_slot_is_empty(
    on_cache: OnCache, how: str
) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        await rig.leave(replica)
        await rig.cache.clear("org/other")
        if how == "one changed byte":
            path = anyio.Path(rig.path / rig.files()[0])
            await path.write_bytes((await path.read_bytes())[:-1] + b"x")
        elif how == "the engine takes a part":
            rig.engine.restores_only = 50
        else:
            is_crash = how == "a crash"
            rig.engine.raises["restore"] = AnswerBroken("closed") if is_crash else SlotActionFailed("no")
        await rig.come_back()
        assert (rig.engine.tokens[0], rig.files(), rig.cache.prompts()) == ([], [], ())

    on_cache(scenario)


def test_a_restore_that_hangs_holds_a_load_up_for_the_bound_only(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        await rig.leave(replica)
        rig.engine.waits_s["restore"] = 1000
        began = anyio.current_time()
        await rig.come_back()
        assert anyio.current_time() - began <= 2.1
        assert len(rig.cache.prompts()) == 1

    on_cache(scenario)


def test_another_build_gets_nothing_and_the_file_is_dropped(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica(model_id=Registry.load().find(CHAT_MODEL).model_id)
        rig.engine.use(0, CHAT)
        await rig.leave(replica)
        replica = rig.roster.add(replica.model, spec(model_id=replica.model.model_id))
        await rig.cache.restore(replica, rig.address("engine 2"))
        assert (rig.engine.tokens[0], rig.files()) == ([], [])

    on_cache(scenario)


def test_a_hit_is_counted_once_and_a_chat_that_is_read_again_ends_the_saving(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        await rig.leave(replica)
        replica = await rig.come_back()
        for cached in (99, 199):
            await rig.answer(replica, 0, LONGER_CHAT, cached)
        assert [prompt.hits for prompt in rig.cache.prompts()] == [1]
        await rig.leave(replica)
        replica = await rig.come_back()
        await rig.answer(replica, 0, LONGER_CHAT, 0)
        await rig.leave(replica)
        await rig.cache.clear("org/other")
        assert (rig.files(), rig.cache.prompts()) == ([], ())
        replica = await rig.come_back()
        rig.engine.use(0, CHAT)
        await rig.cache.save(replica)
        assert rig.engine.calls == []

    on_cache(scenario)


def test_another_chat_in_a_restored_slot_says_nothing_of_the_restored_one(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        await rig.leave(replica)
        replica = await rig.come_back()
        await rig.answer(replica, 0, OTHER_CHAT, 0)
        await rig.leave(replica)
        await rig.come_back()
        assert [tokens[:1] for tokens in rig.engine.tokens[:2]] == [[1000], [0]]

    on_cache(scenario)


def test_an_answer_without_figures_decides_nothing(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        await rig.leave(replica)
        replica = await rig.come_back()
        rig.cache.note_reuse(replica, None, None)
        await rig.answer(replica, 0, LONGER_CHAT, 99)
        assert [prompt.hits for prompt in rig.cache.prompts()] == [1]

    on_cache(scenario)


def test_with_the_cache_off_the_engine_is_not_even_asked(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        await rig.leave(replica)
        await rig.come_back()
        assert (rig.engine.calls, rig.path.exists()) == ([], False)

    on_cache(scenario, prompt_cache_mb=0)


def test_the_end_of_the_service_saves_only_what_is_kept(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        rig.cache.service_ends()
        replica = rig.replica()
        rig.engine.use(0, CHAT)
        await rig.leave(replica)
        assert bool(rig.cache.prompts() or rig.files()) is rig.settings.current.prompt_cache_keep

    on_cache(scenario, prompt_cache_keep=True)
    on_cache(scenario, prompt_cache_keep=False)


def test_a_replica_that_is_gone_or_cannot_save_is_not_asked(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        lost = rig.replica()
        rig.roster.set_gone(lost, "The worker was killed by SIGKILL.")
        await rig.cache.save(lost)
        without = rig.roster.add(Registry.load().find(CHAT_MODEL), spec())
        rig.roster.set_ready(without, Address("unix:///x", "", 1, build="engine 1"))
        await rig.cache.save(without)
        assert (rig.engine.calls, without.state) == ([], State.READY)

    on_cache(scenario)


def test_a_prompt_without_room_is_not_written(on_cache: OnCache) -> None:
    async def scenario(rig: Rig) -> None:
        replica = rig.replica(memory_bytes=1 << 50)
        rig.engine.use(0, CHAT)
        await rig.cache.save(replica)
        assert (rig.engine.calls, rig.files()) == (["slots"], [])

    on_cache(scenario)
