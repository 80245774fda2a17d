"""A load option is declared once, and each place that needs it has it from there."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from pydantic import Field, ValidationError
from scripts.settings_doc import render

from foundrylocal.engine.llama_cpp.command import render_order
from foundrylocal.engine.replica import ListenAddress, ReplicaSpec
from foundrylocal.settings.schema import Settings
from foundrylocal.wire.load_options import (
    LoadOptions,
    LoadSettings,
    given_options,
    make_optional,
    resolve_options,
)
from foundrylocal.wire.server import StartOptions
from foundrylocal.worker import parameters

OPTIONS = sorted(LoadSettings.model_fields)


class WithDummy(LoadSettings):
    """The declaration with one option more."""

    dummy: int = Field(3, ge=1, le=9, description="Nothing.")


class DummySettings(WithDummy):
    """Settings as they would be with it."""

    port: int = 1


@pytest.mark.parametrize("name", OPTIONS)
def test_each_place_has_each_option(name: str) -> None:
    order = json.loads(render_order(spec_with(LoadSettings()), ListenAddress(None, "127.0.0.1", 0, "")))
    assert name in order
    assert name in StartOptions.model_fields
    assert name in LoadOptions.model_fields
    assert f"| `{name}` |" in render()
    assert Settings.model_fields[name].default == LoadSettings.model_fields[name].default
    assert name in parameters.LOAD_OPTIONS


def test_the_worker_knows_no_other_option() -> None:
    assert sorted(parameters.LOAD_OPTIONS) == OPTIONS


def test_the_options_are_named_in_no_other_place_of_the_order() -> None:
    assert [name for name in OPTIONS if name in inspect.getsource(render_order)] == []


@pytest.mark.parametrize("name", OPTIONS)
def test_start_options_have_the_declared_bounds(name: str) -> None:
    declared = LoadSettings.model_json_schema()["properties"][name]
    number = next(kind for kind in declared.get("anyOf", [declared]) if kind["type"] == "integer")
    offered = StartOptions.model_json_schema()["properties"][name]["anyOf"]
    assert {key: number[key] for key in ("type", "minimum", "maximum")} in offered
    assert {"type": "null"} in offered
    for value in (number["minimum"] - 1, number["maximum"] + 1, True, "8", 8.5):
        with pytest.raises(ValidationError):
            StartOptions.model_validate({name: value})


def test_a_further_option_needs_its_declaration_only() -> None:
    options = make_optional("Options", WithDummy)
    with pytest.raises(ValidationError):
        options(dummy=10)
    assert resolve_options(options(), DummySettings(dummy=4), WithDummy).model_dump()["dummy"] == 4
    effective = resolve_options(options(dummy=5), DummySettings(dummy=4), WithDummy)
    order = json.loads(render_order(spec_with(effective), ListenAddress(None, "127.0.0.1", 0, "")))
    assert order["dummy"] == 5
    assert "port" not in order or order["port"] == 0


def test_a_null_option_is_the_settings_value_and_zero_is_not_null() -> None:
    settings = Settings(context_size=1024, gpu_layers=7)
    effective = resolve_options(LoadOptions(gpu_layers=0, parallel=2), settings, LoadSettings)
    assert effective == LoadSettings(context_size=1024, parallel=2, threads=None, gpu_layers=0)


def test_options_of_a_body_compare_by_their_values() -> None:
    body = StartOptions.model_validate({"parallel": 2, "timeout_seconds": 5})
    assert given_options(body) == LoadOptions(parallel=2)
    assert given_options(StartOptions()) == LoadOptions()


def spec_with(options: LoadSettings) -> ReplicaSpec:
    return ReplicaSpec("m#1", "a/m", Path("m.gguf"), None, 1, 1, options)
