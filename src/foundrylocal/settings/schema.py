"""Every setting with its name, bounds, default and help text; the CLI, the docs and POST /config are derived from it.

Invariant: an instance is valid and immutable; a change makes a new one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from foundrylocal.home.folders import default_cache_dir
from foundrylocal.settings.replica_counts import ReplicaCounts
from foundrylocal.wire.load_options import IdleUnload, LoadSettings

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_HOST_NAME = re.compile(r"[A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_ADDRESS = re.compile(r"[A-Za-z0-9._\-:%\[\]]{1,253}")
_ENGINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CLUSTER_ADDRESS = re.compile(r"([A-Za-z0-9.\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")
_ORIGIN = re.compile(r"null|https?://[^\s/?#@]{1,255}|[a-z][a-z0-9+.\-]{1,30}://[^\s/?#@]{1,255}")


HostName = Annotated[str, Field(min_length=1, max_length=253)]


class _AccessSettings(BaseModel):
    """Where the service listens, what it serves, and who may call it."""

    port: int = Field(
        1234, ge=0, le=65535, description="Port of the FoundryLocal server; 0 picks any free port."
    )
    cache_dir: str = Field(
        default_factory=lambda: str(default_cache_dir()),
        min_length=1,
        max_length=4096,
        description="Folder for downloaded models; an absolute path.",
    )
    model_folders: list[str] = Field(
        default_factory=list,
        max_length=64,
        description="Additional folders whose GGUF files are offered for import; they are only read.",
    )
    default_log_level: LogLevel = Field("INFO", description="Lowest level that is logged.")
    api_host: HostName = Field("localhost", description="Address of the management API.")
    api_port: int = Field(9500, ge=0, le=65535, description="Port of the management API.")
    gateway_host: HostName = Field("localhost", description="Address of the FoundryLocal server.")
    ollama_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description=(
            "Port for programs that only know Ollama, on this machine and without a key; 11434 is Ollama's own, "
            "null is off."
        ),
    )
    allowed_hosts: list[str] = Field(
        default_factory=list,
        max_length=64,
        description="Host names by which the service may be called, besides localhost, 127.0.0.1 and [::1].",
    )
    allowed_origins: list[str] = Field(
        default_factory=list,
        max_length=64,
        description=(
            "Origins whose pages may call the service, besides pages served from this machine: `https://host`, "
            "an app's scheme such as `app://obsidian.md`, `vscode-webview://*` (any host of that scheme; "
            "not for http and https), or `null`."
        ),
    )
    hub_allowed_hosts: list[str] = Field(
        default_factory=list,
        max_length=64,
        description="Hosts that the hub may redirect downloads to even though they are private or do not use TLS.",
    )
    management_key: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]{16,256}$",
        description="16 to 256 visible ASCII characters. When set, every management call needs it as a Bearer key.",
    )
    aliases: dict[str, str] = Field(
        default_factory=dict, max_length=256, description="Alternative model names that requests may use."
    )


class Settings(LoadSettings, IdleUnload, _AccessSettings):
    """The effective settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    # Without a draft model, which has to have the vocabulary of the one model that it drafts for.
    speculative: Literal["off", "ngram"] = Field(
        "off", description="Speculative decoding; ngram proposes tokens from the text so far."
    )
    load_at_start: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description=(
            "Model that the server starts with when the service starts, so that the gateway answers after a boot; "
            "it is downloaded if it is not on disk. null starts none."
        ),
    )
    memory_reserve_mb: int = Field(
        512, ge=0, le=1_048_576, description="Memory in MB that must stay free when a model is loaded."
    )
    memory_budget_mb: int | None = Field(
        None,
        ge=1,
        le=67_108_864,
        description=(
            "Memory in MB that all models on one node (one machine) may use together; null means what is free."
        ),
    )
    replicas: ReplicaCounts = Field(
        1,
        description=(
            "Replicas of a loaded model: a number, or a range such as `1-4` within which the load decides; by model "
            'name, `{"NAME": "1-4"}`, where others have one.'
        ),
    )
    request_limit_mb: int = Field(
        8, ge=1, le=1024, description="Maximum request body size in MB; large images need more."
    )
    queue_size: int = Field(
        64, ge=0, le=10_000, description="Maximum number of requests that may wait for one model."
    )
    responses_kept: int = Field(
        200,
        ge=0,
        le=10_000,
        description="How many responses of /v1/responses are kept in memory for previous_response_id; 0 keeps none.",
    )
    requests_kept: int = Field(
        1000,
        ge=0,
        le=10_000,
        description="How many finished requests GET /requests lists, with their figures and without their content.",
    )
    capture_requests: int = Field(
        0,
        ge=0,
        le=100,
        description=(
            "For debugging: how many requests GET /requests/{id} shows with their bodies, in memory only; 0 keeps "
            "none."
        ),
    )
    trace_prompts: bool = Field(
        False,
        description="Whether exported traces contain the messages of requests; otherwise figures and names only.",
    )
    drain_seconds: int = Field(
        30, ge=0, le=3600, description="How long a switch waits for running requests to finish."
    )
    restart_delays_seconds: list[Annotated[float, Field(ge=0, le=3600)]] = Field(
        default_factory=lambda: [1.0, 5.0, 15.0],
        max_length=16,
        description="Delays before each restart of a crashed model; after the last one the server gives up.",
    )
    prompt_cache_mb: int = Field(
        2048,
        ge=0,
        le=1_048_576,
        description=(
            "Disk space in MB for the prompts of models that leave memory, so that long conversations go on without "
            "reading them again; the least recently used are removed. 0 saves none."
        ),
    )
    prompt_cache_keep: bool = Field(
        False,
        description=(
            "Keep saved prompts when the service ends. They hold what was said; by default they are removed then."
        ),
    )
    worker_command: list[str] = Field(
        default_factory=list, description="Command line of the worker process; empty means the built-in one."
    )
    engines: dict[str, str] = Field(
        default_factory=dict,
        max_length=32,
        description=(
            "Additional engines: absolute paths of llama-server binaries by name. `foundrylocal engine add` "
            "writes it."
        ),
    )

    cluster_address: str | None = Field(
        None,
        description=(
            "Address of a Ray cluster's head, HOST:PORT, on whose nodes models run; null runs them on this machine. "
            "`foundrylocal cluster head` writes it."
        ),
    )
    cluster_keep_seconds: int = Field(
        60,
        ge=5,
        le=86_400,
        description=(
            "How long models on the nodes of a cluster stay loaded after this service crashed or was killed, so that "
            "it finds them again. A service that is ended in order unloads them at once."
        ),
    )
    cluster_files: Literal["service", "path", "hub"] = Field(
        "service",
        description=(
            "Where nodes get a model's files: from this service, from the same path on a shared folder, or from "
            "the hub."
        ),
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

    @field_validator("engines")
    @classmethod
    def _are_engines(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _ENGINE_NAME.fullmatch(name) or name == "built-in":
                raise ValueError(
                    f"'{name[:80]}' is not a name for an engine: use letters, digits, '.', '-' and '_', and not "
                    "'built-in'"
                )
        return {name: cls._is_absolute(path) for name, path in value.items()}

    @field_validator("cluster_address")
    @classmethod
    def _is_cluster_address(cls, value: str | None) -> str | None:
        found = None if value is None else _CLUSTER_ADDRESS.fullmatch(value)
        if value is not None and (found is None or not 0 < int(found[2]) <= 65535):
            raise ValueError("must be HOST:PORT, the address that `foundrylocal cluster head` printed")
        return value

    @field_validator("api_host", "gateway_host")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not _ADDRESS.fullmatch(value):
            raise ValueError("must be a host name or an IP address, without a port")
        return value

    @field_validator("allowed_hosts", "hub_allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: list[str]) -> list[str]:
        for name in value:
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(f"'{name[:80]}' is not a host name (leave out the port)")
        return [name.lower() for name in value]

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        origins = [origin.lower() for origin in value]
        for origin in origins:
            _check_origin(origin)
        return origins


def _check_origin(origin: str) -> None:
    """Raise ValueError unless the service can honor this entry of `allowed_origins` exactly as it is written."""
    scheme, _, host = origin.partition("://")
    if "*" in origin and ("*" in scheme or scheme in ("http", "https") or host != "*"):
        raise ValueError(
            f"'{origin[:80]}': '*' is only allowed as the whole host of an app's scheme, as in vscode-webview://*. "
            "List each web origin by name; a wildcard would let foreign pages call the service"
        )
    if not _ORIGIN.fullmatch(origin):
        raise ValueError(f"'{origin[:80]}' is not an origin (scheme://host or scheme://host:port)")


SECRET_SETTINGS = frozenset({"management_key"})
# An HTTP caller must not choose which program is run, where the service may be redirected, or which machines take its
# orders: whoever answers at cluster_address gets the models' keys and may run code here.
FILE_ONLY_SETTINGS = frozenset({"worker_command", "hub_allowed_hosts", "engines", "cluster_address"})
