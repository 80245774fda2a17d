"""/api/tags and /api/ps: the models on disk, and those in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from foundrylocal.catalog.ollama_names import LATEST
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import ModelNotFound
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.ollama.library.facts import ModelFacts, OnDisk, listed_names
from foundrylocal.kit.clock import now_s
from foundrylocal.pool.roster import Replica

# Nothing is due then: what stays in memory has a time in Ollama's answers too.
NEVER = "2300-01-01T00:00:00Z"


def time_text(seconds: float) -> str:
    """A time since the epoch as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def list_models(
    models: Iterable[Model],
    facts: ModelFacts,
    aliases: Mapping[str, str],
    resolve: Callable[[str], Model],
) -> Json:
    """Every downloaded model by each of its names, the newest first. Blocking."""
    found: list[tuple[float, Json]] = []
    by_model: dict[str, OnDisk] = {}
    for model in models:
        if (on_disk := facts.of(model)) is not None:
            by_model[model.model_id] = on_disk
            found += [_entry(name, on_disk) for name in listed_names(model)]
    for alias in aliases:
        try:
            on_disk = by_model.get(resolve(alias).model_id)
        except ModelNotFound:
            continue
        if on_disk is not None:
            found.append(_entry(alias if ":" in alias else alias + LATEST, on_disk))
    return {"models": [entry for _, entry in sorted(found, key=lambda one: -one[0])]}


def _entry(name: str, on_disk: OnDisk) -> tuple[float, Json]:
    stored = on_disk.stored
    return stored.downloaded_at, {
        "name": name,
        "model": name,
        "modified_at": time_text(stored.downloaded_at),
        "size": stored.size_bytes,
        "digest": on_disk.digest,
        "details": on_disk.details(),
    }


def list_loaded(replicas: Iterable[tuple[Replica, float | None]], facts: ModelFacts) -> Json:
    """The models in memory; each with the seconds until it leaves if nobody uses it, None when it stays. Blocking."""
    models = []
    for replica, expires_in_s in replicas:
        on_disk = facts.of(replica.model)
        name = listed_names(replica.model)[0]
        models.append(
            {
                "name": name,
                "model": name,
                "size": replica.spec.memory_bytes,
                "digest": on_disk.digest if on_disk else "",
                "details": on_disk.details() if on_disk else {"format": "gguf"},
                "expires_at": NEVER if expires_in_s is None else time_text(now_s() + expires_in_s),
                "size_vram": 0,
                "context_length": replica.spec.context_size,
            }
        )
    return {"models": models}
