"""One saved prompt, what it fits, and how the list of them is kept on disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import msgspec

from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.wire.load_options import DraftModel

_VERSION = 1
# What a slot holds does not depend on these. An option that is not listed here separates saved prompts: to lose one
# costs time, to restore one that does not fit costs the answers.
_IRRELEVANT_OPTIONS = frozenset({
    "context_size", "parallel", "threads", "gpu_layers", "speculative", "engine", "batch_tokens",
    "lora",  # what the adapters are counts, not their names
})  # fmt: skip


class SavedPrompt(msgspec.Struct, frozen=True):
    """The state of one slot in the file `name`; times in seconds since the epoch.

    It fits replicas with the same `key`. `origin` is the part of the key that says which files and which build of the
    engine it comes from: a prompt with another origin never fits again. `hits` counts the loads that it sped up.
    """

    name: str
    key: str
    origin: str
    model_id: str
    tokens: int
    size_bytes: int
    sha256: str
    saved_at: float
    used_at: float
    hits: int = 0


class Index(msgspec.Struct, frozen=True):
    """All saved prompts; `useless_keys` are those whose prompts an engine restored and then read again."""

    version: int = _VERSION
    prompts: tuple[SavedPrompt, ...] = ()
    useless_keys: tuple[str, ...] = ()


def read_index(data: bytes) -> Index:
    """Raises ValueError when it is damaged or of another version."""
    index = msgspec.json.decode(data, type=Index)
    if index.version != _VERSION:
        raise ValueError("another version")
    return index


@dataclass(frozen=True, slots=True)
class Fit:
    """Which saved prompts a replica can use: those with its `key`; see `SavedPrompt`."""

    key: str
    origin: str


def fit_of(spec: ReplicaSpec, build: str) -> Fit | None:
    """What identifies the prompts of this replica; None when they cannot be saved.

    Embeddings and rankings keep no prompt. A draft model has a state that the engine does not save. Without
    the engine's build or the content of all files, nobody can tell whether a saved prompt fits.
    """
    if spec.is_embedding or spec.is_reranking or isinstance(spec.options.speculative, DraftModel):
        return None
    are_known = all(adapter.content_id for adapter in spec.adapters)
    if not build or not spec.content_id or not are_known or len(spec.adapters) < len(spec.options.lora):
        return None
    options = spec.options.model_dump(mode="json")
    relevant = {name: options[name] for name in sorted(options.keys() - _IRRELEVANT_OPTIONS)}
    origin = _digest([spec.content_id, build])
    adapters = [(adapter.content_id, adapter.scale) for adapter in spec.adapters]
    return Fit(_digest([origin, relevant, adapters, spec.has_long_context]), origin)


def _digest(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
