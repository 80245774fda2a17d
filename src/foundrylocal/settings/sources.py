"""Where settings come from: command line over environment over saved file over default.

Invariant: each source is read once; whoever needs settings asks the store (`settings/store.py`).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from foundrylocal.errors import InvalidConfiguration
from foundrylocal.kit.sentences import sentence
from foundrylocal.settings.schema import Settings

ENV_PREFIX = "FOUNDRYLOCAL_"


class _Declared(Settings, BaseSettings):
    """The settings as pydantic-settings sees them: the same fields, with the names of their variables."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_ignore_empty=True)


class _Environment(EnvSettingsSource):
    """Environment variables hold text only: lists are written `a, b` and mappings `name=value, name=value`."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        text = str(value)
        if text.lstrip().startswith(("[", "{")):
            return super().decode_complex_value(field_name, field, value)
        if field_name == "worker_command":
            return shlex.split(text)
        if field_name == "replicas" and "=" not in text:
            return text
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if get_origin(field.annotation) is dict or field_name == "replicas":
            return dict(part.split("=", 1) for part in parts)
        return parts


def from_environment() -> dict[str, Any]:
    """The settings that the environment sets. Raises InvalidConfiguration."""
    try:
        return _Environment(_Declared)()
    except SettingsError as error:
        raise InvalidConfiguration("An environment variable is not valid", str(error)) from None


def layered(saved: Mapping[str, Any], overrides: Mapping[str, Any]) -> Settings:
    """The effective settings: `overrides` (command line and environment) over `saved`. Raises ValidationError."""
    return Settings.model_validate({**saved, **overrides})


def describe(error: ValidationError) -> str:
    """What is wrong with each field: `port: Input should be a valid integer; threads: ... .`."""
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in item["loc"]) or "body"
        lines.append(f"{field[:200]}: {item['msg'].removeprefix('Value error, ')}")
    return sentence("; ".join(lines[:10]))
