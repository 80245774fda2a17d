"""The load options, declared once: name, type, bounds, default and help of each.

`LoadSettings` is the declaration. Settings inherit it, `LoadOptions` is the same table with every value optional,
and a replica's spec, the plan and the worker's order carry resolved values. So a new option is one field here and
one entry in `worker/parameters.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model

_Declared = TypeVar("_Declared", bound="LoadSettings")


class LoadSettings(BaseModel):
    """How a model is loaded: the effective value of each load option."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context_size: int = Field(
        8192, ge=256, le=4_194_304, description="Context size in tokens, at most what the model supports."
    )
    parallel: int = Field(4, ge=1, le=64, description="Requests that a model answers concurrently.")
    threads: int | None = Field(
        None, ge=1, le=512, description="Engine threads; null lets the engine choose."
    )
    gpu_layers: int | None = Field(
        None, ge=0, le=10_000, description="Layers offloaded to the GPU; null means as many as fit."
    )


def make_optional(name: str, declared: type[LoadSettings]) -> Any:
    """A model with the same fields, each null by default: a null option leaves the choice to the settings."""
    annotated: Any = Annotated  # its arguments are known only when this runs
    fields: dict[str, Any] = {}
    for option, field in declared.model_fields.items():
        bounded = annotated[(field.annotation, *field.metadata)]
        what = (field.description or option).partition(";")[0].rstrip(".")
        text = f"{what}; null means the setting's value."
        fields[option] = (bounded | None, Field(None, description=text))
    config = ConfigDict(extra="forbid", frozen=True)
    return create_model(name, __config__=config, __doc__="Load options of one call.", **fields)


if TYPE_CHECKING:

    class LoadOptions(BaseModel):
        """The load options that a caller gave for one load."""

        def __init__(self, **options: Any) -> None: ...
else:
    LoadOptions = make_optional("LoadOptions", LoadSettings)


def given_options(body: LoadOptions) -> LoadOptions:
    """The load options alone, out of a body that has other fields too."""
    return LoadOptions(**{name: getattr(body, name) for name in LoadSettings.model_fields})


def resolve_options(options: BaseModel, settings: _Declared, declared: type[_Declared]) -> _Declared:
    """What a load will use: the caller's value of each option, or else the setting's."""
    values = {name: getattr(options, name) for name in declared.model_fields}
    return declared(
        **{name: getattr(settings, name) if value is None else value for name, value in values.items()}
    )
