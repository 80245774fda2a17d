"""The setting load_at_start: the server starts with its model, and a failure leaves it stopped and degraded."""

from __future__ import annotations

import logging

import pytest

from foundrylocal.errors import ModelNotFound, ServerStartFailed
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.server.rig import ServerRig, ServerRunner


def test_the_server_starts_with_the_model(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.server.load_at_start()
        now = rig.server.snapshot()
        assert (rig.status, now.current, now.is_degraded) == ("running", rig.chat, False)

    on_server(scenario, load_at_start=CHAT_MODEL)


def test_without_the_setting_nothing_is_started(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.server.load_at_start()
        assert rig.is_clean()
        assert not rig.server.snapshot().is_degraded

    on_server(scenario)


def test_a_model_that_fails_to_load_leaves_the_service_degraded_until_another_starts(
    on_server: ServerRunner, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.behavior(rig.chat.model_id).fails_with = "no such architecture"
        with caplog.at_level(logging.ERROR):
            await rig.server.load_at_start()
        now = rig.server.snapshot()
        assert (rig.status, now.is_degraded) == ("stopped", True)
        assert isinstance(now.last_error, ServerStartFailed)
        assert rig.is_clean()
        said = caplog.records[-1].message
        assert CHAT_MODEL in said and "load_at_start" in said and "foundrylocal start MODEL" in said
        await rig.start(BASE_MODEL)
        assert not rig.server.snapshot().is_degraded

    on_server(scenario, load_at_start=CHAT_MODEL)


def test_a_stop_says_that_no_model_is_missed(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.server.load_at_start()
        now = rig.server.snapshot()
        assert now.is_degraded
        assert isinstance(now.last_error, ModelNotFound)
        assert await rig.server.stop() == "Server is not running"
        assert not rig.server.snapshot().is_degraded

    on_server(scenario, load_at_start="no-such-model")


def test_a_server_that_was_started_already_is_left_as_it_is(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(BASE_MODEL)
        await rig.server.load_at_start()
        now = rig.server.snapshot()
        assert (now.current, now.is_degraded, now.last_error) == (rig.base, False, None)

    on_server(scenario, load_at_start=CHAT_MODEL)
