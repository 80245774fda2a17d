"""What a load was asked for, level by level, and what became of it.

Order: request (options of a start, switch or load) > preset > setting > the model's file > auto. Pure functions;
every way that loads a model comes here through the planner. Invariant: what could not be honored has a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from foundrylocal.engine.devices import Device
from foundrylocal.engine.engine import BUILT_IN
from foundrylocal.errors import InvalidRequest, sentence
from foundrylocal.pool.placement import has_gpu
from foundrylocal.wire.load_options import EffectiveOptions, LoadOptions, ModelOptions, Residency
from foundrylocal.wire.options_report import OptionsReport, Source, WantedOptions


class OptionNotHonored(InvalidRequest):
    """A strict load with an option that cannot be honored as asked; `reasons` are by option."""

    code = "option_not_honored"

    def __init__(self, reasons: Mapping[str, str]) -> None:
        name = next(iter(reasons), "options")
        super().__init__(
            "The model cannot be loaded exactly as asked",
            f"options.{name}: {' '.join(map(sentence, reasons.values()))} Change the option, or leave out 'strict' "
            "to load anyway.",
            param=f"options.{name}",
        )


_LEVELS: tuple[Source, ...] = ("request", "preset", "setting")


def want(request: LoadOptions, preset: BaseModel, settings: BaseModel) -> WantedOptions:
    """The options that a load is asked for: each from the first level that has it."""
    levels = dict(zip(_LEVELS, (request, preset, settings), strict=True))
    values, sources = _first_given(levels, ModelOptions)
    return WantedOptions(ModelOptions(**values), sources, request)


def residency(
    request: LoadOptions, preset: BaseModel, settings: BaseModel
) -> tuple[Residency, dict[str, Source]]:
    """How long a model stays in memory, and where that comes from."""
    levels = dict(zip(_LEVELS, (request, preset, settings), strict=True))
    values, sources = _first_given(levels, Residency)
    return Residency(**values), sources


def _first_given(
    levels: Mapping[Source, BaseModel], declared: type[BaseModel]
) -> tuple[dict[str, Any], dict[str, Source]]:
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for name, field in declared.model_fields.items():
        given = ((source, getattr(level, name, None)) for source, level in levels.items())
        source, value = next(
            ((source, value) for source, value in given if value is not None),
            ("auto", field.get_default(call_default_factory=True)),
        )
        values[name] = value
        # A level that leaves the choice to the service decided nothing.
        sources[name] = "auto" if value in (None, "auto") else source
    return values, sources


def report(wanted: WantedOptions, effective: EffectiveOptions, devices: Sequence[Device]) -> OptionsReport:
    """What was asked for beside what a replica gets, with the reason of each difference."""
    reasons: dict[str, str] = {}
    sources = dict(wanted.sources)
    asked = wanted.values
    if isinstance(asked.context_size, int) and effective.context_size < asked.context_size:
        reasons["context_size"] = (
            f"context_size is {effective.context_size} instead of {asked.context_size}: the model has no more."
        )
        sources["context_size"] = "model"
    if asked.gpu_layers and not has_gpu(devices):
        reasons["gpu_layers"] = (
            f"gpu_layers is 0 instead of {asked.gpu_layers}: the engine '{asked.engine or BUILT_IN}' found no GPU, "
            "so the model runs on the CPU. `GET /engines` shows the devices of each engine."
        )
    return OptionsReport(wanted, effective, sources, reasons)
