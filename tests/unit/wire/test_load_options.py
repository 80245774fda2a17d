"""A load option is declared once, and each place that needs it has it from there."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError
from scripts.settings_doc import render

from foundrylocal.engine.llama_cpp.command import order_fields
from foundrylocal.engine.replica import ListenAddress, ReplicaSpec
from foundrylocal.settings.schema import Settings
from foundrylocal.wire.load_options import (
    EffectiveOptions,
    LoadOptions,
    LoadSettings,
    ModelOptions,
    Residency,
    given_options,
    make_optional,
)
from foundrylocal.wire.server import StartOptions
from foundrylocal.worker import parameters, server_flags

SETTINGS = sorted(LoadSettings.model_fields)
OPTIONS = sorted(ModelOptions.model_fields)


class WithDummy(LoadSettings):
    """The declaration with one option more."""

    dummy: int = Field(3, ge=1, le=9, description="Nothing.")


class EffectiveWithDummy(EffectiveOptions):
    """Its outcome."""

    dummy: int = 0


def order_of(options: EffectiveOptions) -> dict[str, Any]:
    """The order as a worker reads it."""
    return dict(
        json.loads(json.dumps(order_fields(spec_with(options), ListenAddress(None, "127.0.0.1", 0, ""))))
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_each_place_has_each_option(name: str) -> None:
    order = order_of(EffectiveOptions())
    assert name in order
    assert name in StartOptions.model_fields
    assert name in LoadOptions.model_fields
    assert name in EffectiveOptions.model_fields
    assert name in parameters.LOAD_OPTIONS
    assert name in server_flags.LOAD_OPTIONS


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_is_documented_and_has_the_declared_default(name: str) -> None:
    assert f"| `{name}` |" in render()
    assert Settings.model_fields[name].default == LoadSettings.model_fields[name].default


@pytest.mark.parametrize("name", sorted(Residency.model_fields))
def test_how_long_a_model_stays_is_an_option_that_no_worker_hears_of(name: str) -> None:
    order = order_of(EffectiveOptions())
    assert name in LoadOptions.model_fields
    assert name in StartOptions.model_fields
    assert name not in order
    assert name not in parameters.LOAD_OPTIONS


def test_what_belongs_to_one_model_is_no_setting() -> None:
    assert {"lora", "pinned"}.isdisjoint(Settings.model_fields)
    with pytest.raises(ValidationError):
        Settings(speculative={"draft_model": "another"})  # type: ignore[arg-type]


def test_effective_options_have_no_auto() -> None:
    for name in OPTIONS:
        if "auto" in json.dumps(ModelOptions.model_json_schema()["properties"][name]):
            with pytest.raises(ValidationError):
                EffectiveOptions(**{name: "auto"})


def test_the_worker_knows_no_other_option() -> None:
    assert sorted(parameters.LOAD_OPTIONS) == OPTIONS


def test_both_engines_have_the_same_options() -> None:
    assert sorted(server_flags.LOAD_OPTIONS) == sorted(parameters.LOAD_OPTIONS) == OPTIONS


def test_the_options_are_named_in_no_other_place_of_the_order() -> None:
    assert [name for name in OPTIONS if name in inspect.getsource(order_fields)] == []


@pytest.mark.parametrize("name", ["context_size", "gpu_layers", "parallel", "threads"])
def test_start_options_have_the_declared_bounds(name: str) -> None:
    declared = LoadSettings.model_json_schema()["properties"][name]
    number = next(kind for kind in declared.get("anyOf", [declared]) if kind["type"] == "integer")
    offered = StartOptions.model_json_schema()["properties"][name]["anyOf"]
    assert {key: number[key] for key in ("type", "minimum", "maximum")} in offered
    assert {"type": "null"} in offered
    for value in (number["minimum"] - 1, number["maximum"] + 1, True, "8", 8.5):
        with pytest.raises(ValidationError):
            StartOptions.model_validate({name: value})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("context_size", ["auto", 256], ["automatic", 0]),
        ("threads", ["auto", 1], ["all"]),
        ("kv_cache_type", ["f16", "q8_0", "q4_0"], ["q5_1", 8]),
        (
            "speculative",
            ["off", "ngram", {"draft_model": "small"}, {"draft_model": "small", "max_tokens": 4}],
            ["on", {"draft_model": ""}, {"draft_model": "small", "max_tokens": 0}, {"model": "small"}],
        ),
        ("engine", ["cuda"], ["", 1]),
        (
            "lora",
            [[], [{"model": "tone"}], [{"model": "tone", "scale": 0.5}, {"model": "style", "scale": -1}]],
            [{"model": "tone"}, [{"scale": 1}], [{"model": "tone", "scale": "1"}], [{"model": "a"}] * 9],
        ),
        ("pinned", [True, False], [1, "yes"]),
        ("idle_unload_seconds", [0, 60], [-1, "60", 604_801]),
    ],
)
def test_start_options_take_what_is_declared(name: str, good: list[object], bad: list[object]) -> None:
    for value in [*good, None]:
        StartOptions.model_validate({name: value})
    for value in bad:
        with pytest.raises(ValidationError, match=name):
            StartOptions.model_validate({name: value})


def test_a_further_option_needs_its_declaration_only() -> None:
    options = make_optional("Options", WithDummy)
    with pytest.raises(ValidationError):
        options(dummy=10)
    order = order_of(EffectiveWithDummy(dummy=5))
    assert order["dummy"] == 5
    assert "port" not in order or order["port"] == 0


def test_options_of_a_body_compare_by_their_values() -> None:
    body = StartOptions.model_validate({"parallel": 2, "timeout_seconds": 5})
    assert given_options(body) == LoadOptions(parallel=2)
    assert given_options(StartOptions()) == LoadOptions()


def spec_with(options: EffectiveOptions) -> ReplicaSpec:
    return ReplicaSpec("m#1", "a/m", Path("m.gguf"), None, 1, 1, options)
