"""Which level decides an option, and what is said about one that could not be honored."""

from __future__ import annotations

from typing import Any

import pytest

from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.pool.options import report, residency, want
from foundrylocal.settings.schema import Settings
from foundrylocal.wire.load_options import EffectiveOptions, LoadOptions, ModelOptions
from foundrylocal.wire.presets import Preset

GPU = Device("A GPU", DeviceKind.GPU, 8 << 30, 6 << 30)
# For each option a value that differs from its default, one for each level.
VALUES: dict[str, tuple[Any, Any, Any]] = {
    "context_size": (1024, 2048, 4096),
    "parallel": (1, 2, 3),
    "threads": (1, 2, 3),
    "gpu_layers": (0, 1, 2),
    "kv_cache_type": ("q4_0", "q8_0", "q4_0"),
    "speculative": ({"draft_model": "small", "max_tokens": 4}, "ngram", "ngram"),
    "engine": ("one", "two", "three"),
    "batch_tokens": (64, 128, None),
    "lora": ([{"model": "a", "scale": 1.0}], [{"model": "b", "scale": 0.5}], None),
}


def preset(**values: Any) -> Preset:
    return Preset.model_validate(values)


@pytest.mark.parametrize("name", sorted(ModelOptions.model_fields))
def test_the_first_level_that_has_a_value_decides(name: str) -> None:
    of_request, of_preset, of_setting = VALUES[name]
    settings = Settings(**({name: of_setting} if of_setting is not None else {}))
    levels: list[tuple[dict[str, Any], dict[str, Any], Any, str]] = [
        ({name: of_request}, {name: of_preset}, of_request, "request"),
        ({}, {name: of_preset}, of_preset, "preset"),
    ]
    if of_setting is not None:
        levels.append(({}, {}, of_setting, "setting"))
    for request, saved, value, source in levels:
        wanted = want(LoadOptions(**request), preset(**saved), settings)
        assert wanted.values.model_dump(mode="json")[name] == value
        assert wanted.sources[name] == source


def test_what_nobody_decides_is_auto() -> None:
    wanted = want(LoadOptions(), preset(), Settings())
    assert [name for name, source in wanted.sources.items() if source == "auto"] == [
        *("context_size", "threads", "gpu_layers", "engine", "batch_tokens", "lora")
    ]
    assert (
        want(LoadOptions(), preset(context_size="auto"), Settings(context_size=512)).sources["context_size"]
        == "auto"
    )


def test_an_empty_list_of_adapters_overrides_the_preset() -> None:
    wanted = want(LoadOptions(lora=[]), preset(lora=[{"model": "a"}]), Settings())
    assert wanted.values.lora == []
    assert wanted.sources["lora"] == "request"


@pytest.mark.parametrize(
    ("request_", "saved", "expected"),
    [
        ({}, {}, (False, 600, "auto", "setting")),
        ({}, {"pinned": True, "idle_unload_seconds": 0}, (True, 0, "preset", "preset")),
        ({"pinned": False, "idle_unload_seconds": 5}, {"pinned": True}, (False, 5, "request", "request")),
    ],
)
def test_how_long_a_model_stays_by_the_same_levels(
    request_: dict[str, Any], saved: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    found, sources = residency(LoadOptions(**request_), preset(**saved), Settings())
    assert (
        found.pinned,
        found.idle_unload_seconds,
        sources["pinned"],
        sources["idle_unload_seconds"],
    ) == expected


def effective(**values: Any) -> EffectiveOptions:
    return EffectiveOptions.model_validate(values)


def test_an_option_that_is_cut_has_its_reason_and_another_source() -> None:
    made = report(
        want(LoadOptions(context_size=9000), preset(gpu_layers=5), Settings()),
        effective(context_size=4096, gpu_layers=5),
        devices=(),
    )
    assert made.shown()["asked"]["context_size"] == 9000
    assert made.shown()["effective"]["context_size"] == 4096
    assert made.sources["context_size"] == "model"
    assert sorted(made.reasons) == ["context_size", "gpu_layers"]
    assert made.not_honored() == made.reasons


def test_what_was_honored_has_no_reason() -> None:
    wanted = want(LoadOptions(context_size=4096, gpu_layers=5), preset(), Settings())
    assert report(wanted, effective(context_size=4096, gpu_layers=5), (GPU,)).reasons == {}


def test_a_setting_is_only_a_default_and_refuses_nothing() -> None:
    wanted = want(LoadOptions(), preset(), Settings(context_size=9000))
    made = report(wanted, effective(context_size=4096), ())
    assert "context_size" in made.reasons
    assert made.not_honored() == {}
