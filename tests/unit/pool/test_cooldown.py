"""Models that failed a moment ago: how long they are left alone, and when that is forgotten."""

from __future__ import annotations

import pytest

from foundrylocal.catalog.registry import Registry
from foundrylocal.errors import ModelLoading
from foundrylocal.pool.cooldown import FORGET_AFTER_S, Cooldowns
from tests.running import BASE_MODEL, CHAT_MODEL


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_model_is_refused_with_the_reason_until_its_pause_is_over() -> None:
    clock = Clock()
    cooldowns, chat = Cooldowns(clock), Registry.load().find(CHAT_MODEL)
    cooldowns.refuse_while_cooling(chat)
    cooldowns.note(chat, "no such architecture", 15)
    cooldowns.refuse_while_cooling(Registry.load().find(BASE_MODEL))
    clock.now = 14.0
    with pytest.raises(ModelLoading) as caught:
        cooldowns.refuse_while_cooling(chat)
    assert (caught.value.details, caught.value.retry_after_s) == ("no such architecture", 1)
    clock.now = 15.0
    cooldowns.refuse_while_cooling(chat)


def test_failures_are_counted_until_there_was_none_for_long_enough() -> None:
    clock = Clock()
    cooldowns, chat = Cooldowns(clock), Registry.load().find(CHAT_MODEL)
    for expected in (1, 2, 3):
        cooldowns.note(chat, "", 1)
        assert cooldowns.count(chat) == expected
        clock.now += FORGET_AFTER_S - 1
    clock.now += 1
    assert cooldowns.count(chat) == 0
    cooldowns.note(chat, "", 1)
    assert cooldowns.count(chat) == 1


def test_somebody_who_starts_anew_finds_nothing_of_it() -> None:
    clock = Clock()
    cooldowns, chat = Cooldowns(clock), Registry.load().find(CHAT_MODEL)
    cooldowns.note(chat, "", 100)
    cooldowns.clear()
    cooldowns.refuse_while_cooling(chat)
    assert cooldowns.count(chat) == 0
