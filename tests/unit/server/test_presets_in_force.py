"""Options by level, on every way that loads a model: request > preset > setting > the model's file > auto."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import InsufficientMemory
from foundrylocal.pool.options import OptionNotHonored
from foundrylocal.server.presets import ModelPresets
from foundrylocal.wire.load_options import EffectiveOptions, LoadOptions
from foundrylocal.wire.options_report import OptionsReport
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.server.rig import MB, ROOM_FOR_ONE, ServerRig, ServerRunner

MODEL_TOKENS = 2048  # of the tiny models, which have no more
Options = dict[str, Any]


def last_spec(rig: ServerRig, model: Model) -> ReplicaSpec:
    """The specification of the model's replica that runs now."""
    [replica] = rig.launcher.of(model.model_id)
    return replica.spec


# --- the ways that load a model --------------------------------------------------------------------------


async def by_start(rig: ServerRig, options: Options) -> Model:
    await rig.start(CHAT_MODEL, options=options)
    return rig.chat


async def by_switch(rig: ServerRig, options: Options) -> Model:
    await rig.start(CHAT_MODEL)
    await rig.switch(BASE_MODEL, options=options)
    return rig.base


async def by_load(rig: ServerRig, options: Options) -> Model:
    await rig.start(CHAT_MODEL)
    await rig.models.load(rig.base, LoadOptions(**options))
    return rig.base


async def by_load_of_a_loaded_model(rig: ServerRig, options: Options) -> Model:
    await rig.start(CHAT_MODEL)
    await rig.models.load(rig.base, LoadOptions(parallel=17))
    await rig.models.load(rig.base, LoadOptions(**options))
    await anyio.sleep(5)
    return rig.base


async def by_load_of_the_servers_own(rig: ServerRig, options: Options) -> Model:
    await rig.start(CHAT_MODEL, options={"parallel": 17})
    await rig.models.load(rig.chat, LoadOptions(**options))
    await anyio.sleep(5)
    return rig.chat


async def after_a_crash(rig: ServerRig, options: Options) -> Model:
    await rig.start(CHAT_MODEL, options=options)
    rig.launcher.crash(rig.chat.model_id)
    await anyio.sleep(10)
    return rig.chat


async def after_an_unload_of_all(rig: ServerRig, options: Options) -> Model:
    await rig.start(CHAT_MODEL, options=options)
    await rig.server.unload_all()
    async with rig.server.lease(None):
        return rig.chat


async def after_an_eviction(rig: ServerRig, options: Options) -> Model:
    await rig.start(CHAT_MODEL)
    await rig.models.load(rig.base, LoadOptions(**options))
    rig.launcher.total_bytes = sum(one.spec.memory_bytes for one in rig.launcher.running.values()) + 8 * MB
    for name in (rig.third.model_id, BASE_MODEL):
        async with rig.server.lease(name):
            pass
    return rig.base


async def after_a_failed_switch(rig: ServerRig, options: Options) -> Model:
    rig.launcher.total_bytes = ROOM_FOR_ONE
    await rig.start(CHAT_MODEL, options=options)
    rig.launcher.behavior(rig.base.model_id).fails_with = "no"
    with pytest.raises(Exception, match="failed"):
        await rig.switch(BASE_MODEL)
    return rig.chat


async def on_demand(rig: ServerRig, options: Options) -> Model:
    """Nobody gives options for such a load."""
    await rig.start(CHAT_MODEL)
    async with rig.server.lease(BASE_MODEL):
        return rig.base


WAYS: list[Callable[[ServerRig, Options], Awaitable[Model]]] = [
    *(by_start, by_switch, by_load, by_load_of_a_loaded_model, by_load_of_the_servers_own),
    *(after_a_crash, after_an_unload_of_all, after_an_eviction, after_a_failed_switch, on_demand),
]
# request, preset, setting -> effective, source. None: that level says nothing.
LEVELS: list[tuple[str, Any, Any, Any, Any, str]] = [
    ("parallel", 2, 3, 5, 2, "request"),
    ("parallel", None, 3, 5, 3, "preset"),
    ("parallel", None, None, 5, 5, "setting"),
    ("context_size", 512, 768, 1024, 512, "request"),
    ("context_size", None, 768, 1024, 768, "preset"),
    ("context_size", None, None, 1024, 1024, "setting"),
    ("context_size", None, None, 9000, MODEL_TOKENS, "model"),
    ("context_size", None, None, "auto", MODEL_TOKENS, "auto"),
    ("threads", 2, 3, 5, 2, "request"),
    ("threads", None, "auto", 5, None, "auto"),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(("name", "request_", "preset", "setting", "effective", "source"), LEVELS)
def test_the_order_of_the_levels_holds_on_every_way(
    on_server: ServerRunner,
    way: Callable[[ServerRig, Options], Awaitable[Model]],
    name: str,
    request_: Any,
    preset: Any,
    setting: Any,
    effective: Any,
    source: str,
) -> None:
    if way is on_demand and request_ is not None:
        effective, source = preset, "preset"

    async def scenario(rig: ServerRig) -> None:
        for model in (rig.chat, rig.base):
            if preset is not None:
                rig.presets.change(model.model_id, {name: preset})
        model = await way(rig, {} if request_ is None else {name: request_})
        spec = last_spec(rig, model)
        assert getattr(spec.options, name) == effective
        assert report_of(spec).sources[name] == source

    on_server(scenario, **({} if setting is None else {name: setting}))


def report_of(spec: ReplicaSpec) -> OptionsReport:
    assert spec.report is not None
    return spec.report


def test_options_of_a_load_hold_until_the_model_is_unloaded_on_request(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(CHAT_MODEL)
        await rig.models.load(rig.base, LoadOptions(parallel=7))
        await rig.models.unload(rig.base)
        async with rig.server.lease(BASE_MODEL) as replica:
            assert replica.spec.parallel == 4

    on_server(scenario)


def test_a_change_of_the_preset_holds_from_the_next_load_on(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(CHAT_MODEL)
        presets = ModelPresets(rig.presets, rig.pool, rig.settings)
        view = await presets.change(rig.chat, {"parallel": 9, "temperature": 0.5})
        assert view.applies == {"parallel": "next_load", "temperature": "at_once"}
        assert last_spec(rig, rig.chat).parallel == 4
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(10)
        assert last_spec(rig, rig.chat).parallel == 9

    on_server(scenario)


@pytest.mark.parametrize("level", ["request", "preset"])
def test_a_strict_load_is_refused_with_the_field(on_server: ServerRunner, level: str) -> None:
    async def scenario(rig: ServerRig) -> None:
        asked = {"gpu_layers": 5}
        if level == "preset":
            rig.presets.change(rig.chat.model_id, asked)
            rig.presets.change(rig.base.model_id, asked)
        options = asked if level == "request" else {}
        with pytest.raises(OptionNotHonored, match="exactly as asked") as refused:
            await rig.start(CHAT_MODEL, options=options, is_strict=True)
        assert refused.value.param == "options.gpu_layers"
        assert rig.status == "stopped" and not rig.launcher.history
        await rig.start(CHAT_MODEL, options=options)
        assert "found no GPU" in report_of(last_spec(rig, rig.chat)).reasons["gpu_layers"]
        with pytest.raises(OptionNotHonored):
            await rig.switch(BASE_MODEL, options=options, is_strict=True)
        for model in (rig.chat, rig.base):
            with pytest.raises(OptionNotHonored):
                await rig.models.load(model, LoadOptions(**options), is_strict=True)
        assert rig.status == "running" and rig.running() == [CHAT_MODEL]

    on_server(scenario)


def test_a_setting_that_a_model_cannot_honor_refuses_no_strict_load(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(CHAT_MODEL, is_strict=True)
        report = report_of(last_spec(rig, rig.chat))
        assert report.effective.context_size == MODEL_TOKENS
        assert "the model has no more" in report.reasons["context_size"]

    on_server(scenario, context_size=9000)


def test_status_has_what_was_asked_beside_what_runs(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert rig.server.snapshot().options is None
        await rig.start(CHAT_MODEL, options={"context_size": 9000})
        report = rig.server.snapshot().options
        assert report is not None
        assert isinstance(report.effective, EffectiveOptions)
        assert report.shown()["asked"]["context_size"] == 9000
        assert report.shown()["effective"]["context_size"] == MODEL_TOKENS

    on_server(scenario)


# --- pinned and idle -------------------------------------------------------------------------------------


def test_a_pinned_model_stays_when_another_needs_its_memory(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(CHAT_MODEL)
        await rig.models.load(rig.base)
        rig.presets.change(rig.base.model_id, {"pinned": True})
        rig.launcher.total_bytes = sum(one.spec.memory_bytes for one in rig.launcher.running.values()) + 1
        with pytest.raises(InsufficientMemory) as refused:
            await rig.models.load(rig.third)
        assert f"Pinned models stay in memory: {BASE_MODEL}." in str(refused.value.details)
        rig.presets.change(rig.base.model_id, {"pinned": None})
        await rig.models.load(rig.third)
        assert BASE_MODEL not in rig.running()

    on_server(scenario)


def test_a_pinned_model_stays_after_a_switch_and_no_switch_replaces_it(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(CHAT_MODEL, options={"pinned": True})
        await rig.switch(BASE_MODEL)
        await anyio.sleep(60)
        assert sorted(rig.running()) == sorted([CHAT_MODEL, BASE_MODEL])
        await rig.switch(CHAT_MODEL)
        await anyio.sleep(60)
        assert rig.running() == [CHAT_MODEL]
        rig.presets.change(rig.chat.model_id, {"pinned": True})
        rig.launcher.total_bytes = last_spec(rig, rig.chat).memory_bytes + 1
        with pytest.raises(InsufficientMemory, match="memory"):
            await rig.switch(BASE_MODEL)
        assert rig.running() == [CHAT_MODEL] and rig.status == "running"
        await rig.switch(CHAT_MODEL, options={"parallel": 9, "context_size": 512})
        assert last_spec(rig, rig.chat).parallel == 9

    on_server(scenario)


@pytest.mark.parametrize(
    ("chat", "base", "left"),
    [
        ({}, {}, [CHAT_MODEL]),
        ({}, {"pinned": True}, [CHAT_MODEL, BASE_MODEL]),
        ({}, {"idle_unload_seconds": 0}, [CHAT_MODEL, BASE_MODEL]),
        ({}, {"idle_unload_seconds": 5000}, [CHAT_MODEL, BASE_MODEL]),
        ({"idle_unload_seconds": 100}, {"idle_unload_seconds": 5000}, [BASE_MODEL]),
        ({"idle_unload_seconds": 100, "pinned": True}, {}, [CHAT_MODEL]),
    ],
)
def test_each_model_has_its_own_idle_limit(
    on_server: ServerRunner, chat: Options, base: Options, left: list[str]
) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(CHAT_MODEL)
        await rig.models.load(rig.base)
        rig.presets.change(rig.chat.model_id, chat)
        rig.presets.change(rig.base.model_id, base)
        await anyio.sleep(700)  # the setting is 600
        assert rig.running() == sorted(left)
        assert rig.status == "running"
        async with rig.server.lease(None) as replica:
            assert replica.model is rig.chat

    on_server(scenario)
