"""GGUF models that are on this machine already, in the stores of other programs and in folders of the user's.

Invariant: it only looks; what it finds is offered for an import by link, which never touches the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from foundrylocal.catalog import names
from foundrylocal.downloads.quantization import quantization_of, stem_of

MAX_FOUND = 2000
MAX_DEPTH = 6
MAX_ENTRIES = 50_000
MAX_MANIFEST_BYTES = 1024 * 1024
_OLLAMA_MODEL = "application/vnd.ollama.image.model"


@dataclass(frozen=True, slots=True)
class Existing:
    """A model file found; `path` and `name` are what an import by link takes."""

    store: str
    name: str
    path: Path
    size_bytes: int
    quantization: str | None


def find_existing(
    folders: Iterable[Path] = (), environment: Mapping[str, str] = os.environ, home: Path | None = None
) -> list[Existing]:
    """What there is, each file once, bounded in number; blocks on the disk and passes over what it may not read."""
    home = home or Path.home()
    seen: set[tuple[int, int]] = set()
    found: list[Existing] = []
    for candidate in islice(_candidates(folders, environment, home), MAX_FOUND * 4):
        try:
            status = candidate.path.stat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) not in seen and len(found) < MAX_FOUND:
            seen.add((status.st_dev, status.st_ino))
            found.append(candidate)
    return found


def _candidates(folders: Iterable[Path], environment: Mapping[str, str], home: Path) -> Iterator[Existing]:
    for folder in folders:
        yield from _ggufs("folder", folder)
    yield from _ggufs("hugging-face", _hub_cache(environment, home))
    yield from _ollama(Path(environment.get("OLLAMA_MODELS") or home / ".ollama" / "models"))
    for folder in (home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"):
        yield from _ggufs("lm-studio", folder)


def _hub_cache(environment: Mapping[str, str], home: Path) -> Path:
    if cache := environment.get("HF_HUB_CACHE"):
        return Path(cache)
    return Path(environment.get("HF_HOME") or home / ".cache" / "huggingface") / "hub"


def _ggufs(store: str, folder: Path) -> Iterator[Existing]:
    """The GGUF files under a folder that are a model or the first part of one."""
    for path in islice(_files(folder, MAX_DEPTH), MAX_ENTRIES):
        is_later_part = "-of-" in path.name and "-00001-of-" not in path.name
        if path.suffix.lower() == ".gguf" and not names.is_projector(path.name) and not is_later_part:
            found = _existing(store, stem_of(path.name), path)
            if found is not None:
                yield found


def _files(folder: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            there = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in there:
        if entry.is_dir(follow_symlinks=False):
            if depth > 1:
                yield from _files(folder / entry.name, depth - 1)
        else:
            yield folder / entry.name


def _existing(store: str, name: str, path: Path) -> Existing | None:
    try:
        # The hub's cache and others name a file by a link to its content.
        real = path.resolve(strict=True)
        size = real.stat().st_size
    except (OSError, RuntimeError):
        return None
    # Parts of a split model find each other by the names that they have here, so these are kept.
    where = path if "-00001-of-" in path.name else real
    return Existing(store, name, where, size, quantization_of(path.name)) if real.is_file() else None


def _ollama(root: Path) -> Iterator[Existing]:
    """Ollama keeps contents by digest, and their names in manifests: registry/namespace/model/tag."""
    for path in islice(_files(root / "manifests", 4), MAX_ENTRIES):
        try:
            with path.open("rb") as file:
                manifest = json.loads(file.read(MAX_MANIFEST_BYTES))
            digest = next(_model_digests(manifest))
        except (OSError, ValueError, StopIteration, AttributeError, TypeError, RecursionError):
            continue
        blob = root / "blobs" / names.safe_component(digest.replace(":", "-"))
        found = _existing("ollama", f"{path.parent.name}-{path.name}", blob)
        if found is not None:
            yield found


def _model_digests(manifest: Any) -> Iterator[str]:
    for layer in manifest.get("layers", []):
        if layer.get("mediaType") == _OLLAMA_MODEL:
            yield str(layer["digest"])
