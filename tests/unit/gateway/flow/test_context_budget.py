"""The tokens of a context: never more than there are, in the order of arrival, and shared sensibly."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundrylocal.gateway.flow.context_budget import RELEASE_DELAY_S, ContextBudget, TokenNeed
from tests.fakes import virtual_time
from tests.fakes.virtual_time import settle


class Hall:
    """Requests of one budget: those that were granted, in order, until each is let go."""

    def __init__(self, capacity_tokens: int = 8192, slots: int = 4) -> None:
        self.budget = ContextBudget(capacity_tokens, slots)
        self.granted: list[tuple[str, int]] = []
        self.ends: dict[str, anyio.Event] = {}

    async def hold(self, name: str, need: TokenNeed) -> None:
        self.ends[name] = anyio.Event()
        async with self.budget.reserve(need) as answer_tokens:
            self.granted.append((name, answer_tokens))
            await self.ends[name].wait()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.granted]


def test_four_long_prompts_are_answered_in_turn() -> None:
    async def main() -> None:
        hall = Hall()
        async with anyio.create_task_group() as group:
            for name in "abcd":
                group.start_soon(hall.hold, name, TokenNeed(2300, wanted_tokens=200))
            await settle()
            assert hall.names == ["a", "b", "c"]
            hall.ends["b"].set()
            await settle()
            assert hall.names == ["a", "b", "c", "d"]
            for end in hall.ends.values():
                end.set()
        assert hall.budget.free_tokens == 8192

    virtual_time.run(main)


def test_nobody_passes_one_that_waits() -> None:
    async def main() -> None:
        hall = Hall()
        async with anyio.create_task_group() as group:
            group.start_soon(hall.hold, "long", TokenNeed(5000, wanted_tokens=10))
            await settle()
            group.start_soon(hall.hold, "longer", TokenNeed(6000, wanted_tokens=10))
            await settle()
            group.start_soon(hall.hold, "short", TokenNeed(10, wanted_tokens=10))
            await settle()
            assert hall.names == ["long"]
            assert not hall.budget.fits_now(TokenNeed(10, wanted_tokens=10))
            hall.ends["long"].set()
            await settle()
            assert hall.names == ["long", "longer", "short"]
            for end in hall.ends.values():
                end.set()

    virtual_time.run(main)


def test_one_that_leaves_the_wait_lets_the_next_go() -> None:
    async def main() -> None:
        hall = Hall()
        async with anyio.create_task_group() as group:
            group.start_soon(hall.hold, "long", TokenNeed(5000, wanted_tokens=10))
            await settle()
            with anyio.move_on_after(1):
                async with anyio.create_task_group() as leaving:
                    leaving.start_soon(hall.hold, "longer", TokenNeed(6000, wanted_tokens=10))
                    await settle()
                    group.start_soon(hall.hold, "short", TokenNeed(10, wanted_tokens=10))
            await settle()
            assert hall.names == ["long", "short"]
            for end in hall.ends.values():
                end.set()

    virtual_time.run(main)


def test_what_a_cancelled_request_had_is_free_when_the_engine_has_noticed() -> None:
    async def main() -> None:
        hall = Hall()
        with anyio.move_on_after(1):
            await hall.hold("gone", TokenNeed(8000, wanted_tokens=100))
        assert hall.budget.free_tokens == 92
        await anyio.sleep(RELEASE_DELAY_S + 0.1)
        assert hall.budget.free_tokens == 8192

    virtual_time.run(main)


def test_without_a_length_four_chats_run_at_once_and_each_has_its_share() -> None:
    async def main() -> None:
        hall = Hall()
        async with anyio.create_task_group() as group:
            group.start_soon(hall.hold, "a", TokenNeed(300))
            await settle()
            group.start_soon(hall.hold, "b", TokenNeed(300))
            await settle()
            # One that is alone gets what leaves each further slot three quarters of its share.
            assert hall.granted == [("a", 8192 - 300 - 3 * 1536), ("b", 1236)]
            for name in "cde":
                group.start_soon(hall.hold, name, TokenNeed(300))
            await settle()
            assert hall.names == ["a", "b", "c", "d"]
            hall.ends["a"].set()
            await settle()
            assert hall.names == ["a", "b", "c", "d", "e"]
            assert min(tokens for _, tokens in hall.granted) >= 8192 // 4 // 2
            for end in hall.ends.values():
                end.set()

    virtual_time.run(main)


@pytest.mark.parametrize("slots", [4, 8, 64])
def test_short_requests_of_any_length_fill_all_slots(slots: int) -> None:
    async def main() -> None:
        hall = Hall(2048, slots)
        async with anyio.create_task_group() as group:
            for number in range(slots):
                group.start_soon(hall.hold, str(number), TokenNeed(8))
                await settle()
            assert len(hall.granted) == slots
            for end in hall.ends.values():
                end.set()

    virtual_time.run(main)


def test_a_length_that_was_asked_for_is_reserved_up_to_half_of_the_context() -> None:
    async def main() -> None:
        hall = Hall()
        async with anyio.create_task_group() as group:
            for name, wanted in (("a", 3000), ("b", 3000), ("c", 3000)):
                group.start_soon(hall.hold, name, TokenNeed(300, wanted_tokens=wanted))
            await settle()
            assert hall.granted == [("a", 3000), ("b", 3000)]
            hall.ends["a"].set()
            await settle()
            assert hall.granted[2:] == [("c", 3000)]
            for end in hall.ends.values():
                end.set()

    virtual_time.run(main)


def test_the_last_slot_gets_all_that_is_left() -> None:
    async def main() -> None:
        hall = Hall(slots=1)
        async with anyio.create_task_group() as group:
            group.start_soon(hall.hold, "a", TokenNeed(300))
            await settle()
            assert hall.granted == [("a", 7892)]
            hall.ends["a"].set()

    virtual_time.run(main)


@pytest.mark.parametrize(
    ("need", "fits"),
    [
        (TokenNeed(8191), True),
        (TokenNeed(8192), False),
        (TokenNeed(8188, answers=4), True),
        (TokenNeed(8188, answers=9), True),
        (TokenNeed(8189, answers=4), False),
    ],
)
def test_what_can_ever_fit_leaves_each_answer_a_token(need: TokenNeed, fits: bool) -> None:
    assert ContextBudget(8192, 4).can_ever_fit(need) is fits
    assert ContextBudget(8192, 4).fits_now(need) is fits


NEEDS = st.builds(TokenNeed, st.integers(0, 900), st.integers(1, 9), st.none() | st.integers(1, 3000))


@settings(deadline=None)
@given(needs=st.lists(NEEDS, max_size=12), slots=st.integers(1, 5), ends=st.lists(st.integers(0, 11)))
def test_the_context_is_never_overrun_and_everybody_is_answered(
    needs: list[TokenNeed], slots: int, ends: list[int]
) -> None:
    async def main() -> None:
        hall = Hall(1024, slots)

        def check() -> None:
            assert 0 <= hall.budget.free_tokens <= 1024

        async with anyio.create_task_group() as group:
            for number, need in enumerate(needs):
                group.start_soon(hall.hold, str(number), need)
                await settle()
                check()
            for number in [*ends, *range(len(needs))]:
                if (end := hall.ends.get(str(number))) is not None:
                    end.set()
                    await settle()
                    check()
        assert sorted(hall.names, key=int) == hall.names == [str(number) for number in range(len(needs))]
        assert hall.budget.free_tokens == 1024
        assert min((tokens for _, tokens in hall.granted), default=1) >= 1

    virtual_time.run(main)
