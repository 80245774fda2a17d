"""Every setting there is: its name, default and help. The CLI, the docs and POST /config read it from here."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from foundrylocal.settings.folders import default_cache_dir
from foundrylocal.wire.load_options import LoadSettings

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_HOST_NAME = re.compile(r"[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_ORIGIN = re.compile(r"null|https?://[^\s/?#@]{1,255}|[a-z][a-z0-9+.\-]{1,30}://[^\s/?#@]{1,255}")


# The context of a validation that may meet text of the environment; a call over HTTP must send real lists.
WITH_TEXT = {"with_text": True}


def _is_text(value: Any, info: ValidationInfo) -> bool:
    return isinstance(value, str) and info.context is WITH_TEXT


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _from_text(value: Any, info: ValidationInfo) -> Any:
    """The environment has only text: a list is given as `a, b`."""
    return _parts(value) if _is_text(value, info) else value


def _words(value: Any, info: ValidationInfo) -> Any:
    return shlex.split(value) if _is_text(value, info) else value


def _pairs(value: Any, info: ValidationInfo) -> Any:
    """The environment has only text: aliases are given as `name=model, name=model`."""
    if _is_text(value, info):
        return dict(part.split("=", 1) for part in _parts(value) if "=" in part)
    return value


TextList = Annotated[list[str], BeforeValidator(_from_text)]
Words = Annotated[list[str], BeforeValidator(_words)]
Numbers = Annotated[list[Annotated[float, Field(ge=0, le=3600)]], BeforeValidator(_from_text)]
Aliases = Annotated[dict[str, str], BeforeValidator(_pairs)]


class _AccessSettings(BaseModel):
    """Where the service listens, what it serves, and who may call it."""

    port: int = Field(1234, ge=0, le=65535, description="Port of the FoundryLocal server; 0 is any free one.")
    cache_dir: str = Field(
        default_factory=lambda: str(default_cache_dir()),
        min_length=1,
        max_length=4096,
        description="Folder of the downloaded models, an absolute path.",
    )
    model_folders: TextList = Field(
        default_factory=list,
        max_length=64,
        description="Further folders whose GGUF files are offered for import; they are only read.",
    )
    default_log_level: LogLevel = Field("INFO", description="The least level that is recorded.")
    api_host: str = Field("localhost", min_length=1, description="Address of the management API.")
    api_port: int = Field(9500, ge=0, le=65535, description="Port of the management API.")
    gateway_host: str = Field("localhost", min_length=1, description="Address of the FoundryLocal server.")
    allowed_hosts: TextList = Field(
        default_factory=list,
        max_length=64,
        description="Host names besides localhost, 127.0.0.1 and [::1] by which the service may be called.",
    )
    allowed_origins: TextList = Field(
        default_factory=list,
        max_length=64,
        description="Origins besides pages of this machine whose pages may call the service.",
    )
    hub_allowed_hosts: TextList = Field(
        default_factory=list,
        max_length=64,
        description="Hosts that the hub may send downloads to although they are private or without TLS.",
    )
    management_key: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]{16,256}$",
        description="16 to 256 visible characters. When set, every management call needs it as a Bearer key.",
    )
    aliases: Aliases = Field(
        default_factory=dict, max_length=256, description="Other names for models, as requests may give them."
    )


class Settings(LoadSettings, _AccessSettings):
    """The effective settings; immutable, a change makes a new one."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    memory_reserve_mb: int = Field(
        512, ge=0, le=1_048_576, description="Memory that loading a model leaves free, in MB."
    )
    memory_budget_mb: int | None = Field(
        None,
        ge=1,
        le=67_108_864,
        description="Memory that all models may take together; null is what is free.",
    )
    idle_unload_seconds: int = Field(
        600, ge=0, le=604_800, description="A model loaded on demand leaves after this time; 0 is never."
    )
    request_limit_mb: int = Field(
        8, ge=1, le=1024, description="Size of a request's body in MB; large images need more."
    )
    queue_size: int = Field(64, ge=0, le=10_000, description="Requests that may wait for one model.")
    drain_seconds: int = Field(
        30, ge=0, le=3600, description="How long a switch waits for running requests to end."
    )
    restart_delays_seconds: Numbers = Field(
        default_factory=lambda: [1.0, 5.0, 15.0],
        max_length=16,
        description="Pauses before a crashed model is started again; after the last one the server gives up.",
    )
    worker_command: Words = Field(
        default_factory=list, description="The command of the worker process; empty is the built-in one."
    )

    @field_validator("cache_dir")
    @classmethod
    def _is_absolute(cls, value: str) -> str:
        if "\0" in value or not Path(value).is_absolute():
            raise ValueError("must be an absolute path")
        return os.path.normpath(value)

    @field_validator("model_folders")
    @classmethod
    def _are_absolute(cls, value: list[str]) -> list[str]:
        return [cls._is_absolute(folder) for folder in value]

    @field_validator("allowed_hosts", "hub_allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: list[str]) -> list[str]:
        for name in value:
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(f"'{name[:80]}' is no host name (give it without a port)")
        return [name.lower() for name in value]

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        origins = [origin.lower() for origin in value]
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"'{origin[:80]}' is no origin (scheme://host or scheme://host:port)")
        return origins


SECRET_SETTINGS = frozenset({"management_key"})
# What another program could be made to run, or where the service may be sent, is no business of an HTTP call.
FILE_ONLY_SETTINGS = frozenset({"worker_command", "hub_allowed_hosts"})
