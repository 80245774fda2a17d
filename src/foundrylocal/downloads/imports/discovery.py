"""Finds GGUF models that are already on this machine: in the stores of other programs and in the user's folders.

Invariant: it only looks. What it finds can be imported by link, which never touches the file, or linked to instead of
being downloaded.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from foundrylocal.catalog import names
from foundrylocal.catalog.file_names import models_among, projector_among, quantization_of, stem_of
from foundrylocal.catalog.gguf.split import parse_split_name

MAX_FOUND = 2000
MAX_DEPTH = 6
MAX_ENTRIES = 50_000
MAX_MANIFEST_BYTES = 1024 * 1024
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_OLLAMA_PROJECTOR = "application/vnd.ollama.image.projector"


@dataclass(frozen=True, slots=True)
class ExistingModel:
    """A model that was found; an import by link takes its `path`, `projector_path` and `name`."""

    store: str
    name: str
    path: Path
    size_bytes: int
    quantization: str | None
    projector_path: Path | None = None


def find_existing(
    folders: Iterable[Path] = (), environment: Mapping[str, str] = os.environ, home: Path | None = None
) -> list[ExistingModel]:
    """The models found, each file once, at most MAX_FOUND; blocks on the disk and skips what it may not read."""
    home = home or _home()
    seen: set[tuple[int, int]] = set()
    found: list[ExistingModel] = []
    for candidate in islice(_candidates(folders, environment, home), MAX_FOUND * 4):
        try:
            status = candidate.path.stat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) not in seen and len(found) < MAX_FOUND:
            seen.add((status.st_dev, status.st_ino))
            found.append(candidate)
    return found


def find_content(
    sha256: str, environment: Mapping[str, str] = os.environ, home: Path | None = None
) -> Iterator[Path]:
    """Files that a store names by this sha256; their content is not checked."""
    home = home or _home()
    blobs = [_ollama_store(environment, home) / "blobs" / f"sha256-{sha256}"]
    with contextlib.suppress(OSError):
        blobs += [
            repository / "blobs" / sha256
            for repository in _hub_cache(environment, home).iterdir()
            if repository.name.startswith("models--")
        ]
    for blob in blobs:
        with contextlib.suppress(OSError, RuntimeError):
            if blob.is_file():
                yield blob.resolve(strict=True)


def _candidates(
    folders: Iterable[Path], environment: Mapping[str, str], home: Path
) -> Iterator[ExistingModel]:
    for folder in folders:
        yield from _ggufs("folder", folder)
    yield from _ggufs("hugging-face", _hub_cache(environment, home))
    yield from _ollama(_ollama_store(environment, home))
    for folder in (home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"):
        yield from _ggufs("lm-studio", folder)


def _home() -> Path:
    # A service may run as a user without a home, for whom `Path.home()` raises an error.
    return Path(os.path.expanduser("~"))  # noqa: PTH111


def _hub_cache(environment: Mapping[str, str], home: Path) -> Path:
    if cache := environment.get("HF_HUB_CACHE"):
        return Path(cache)
    return Path(environment.get("HF_HOME") or home / ".cache" / "huggingface") / "hub"


def _ollama_store(environment: Mapping[str, str], home: Path) -> Path:
    return Path(environment.get("OLLAMA_MODELS") or home / ".ollama" / "models")


def _ggufs(store: str, folder: Path) -> Iterator[ExistingModel]:
    """The GGUF files under a folder that are a model or the first part of one."""
    by_folder: dict[Path, list[Path]] = {}
    for path in islice(_files(folder, MAX_DEPTH), MAX_ENTRIES):
        if path.suffix.lower() == ".gguf":
            by_folder.setdefault(path.parent, []).append(path)
    for parent, paths in by_folder.items():
        projector = projector_among(paths)
        for name in models_among(path.name for path in paths):
            part = parse_split_name(name)
            if part is None or part.number == 1:
                found = _existing(store, stem_of(name), parent / name, projector)
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


def _existing(store: str, name: str, path: Path, projector: Path | None) -> ExistingModel | None:
    try:
        # The hub's cache and others give a file its name by a link to its content.
        real = path.resolve(strict=True)
        size = real.stat().st_size
        real_projector = projector.resolve(strict=True) if projector is not None else None
    except (OSError, RuntimeError):
        return None
    # The parts of a split model find each other by these names, so they are kept.
    where = path if parse_split_name(path.name) is not None else real
    if not real.is_file():
        return None
    return ExistingModel(
        store, name, where, size, quantization_of(f"{path.parent.name}/{path.name}"), real_projector
    )


def _ollama(root: Path) -> Iterator[ExistingModel]:
    """Ollama stores content by digest, and names in manifests: registry/namespace/model/tag."""
    for path in islice(_files(root / "manifests", 4), MAX_ENTRIES):
        try:
            with path.open("rb") as file:
                manifest = json.loads(file.read(MAX_MANIFEST_BYTES))
            digests = {str(layer.get("mediaType")): str(layer.get("digest")) for layer in manifest["layers"]}
            model = digests[_OLLAMA_MODEL]
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
            continue
        projector = _ollama_blob(root, digests[_OLLAMA_PROJECTOR]) if _OLLAMA_PROJECTOR in digests else None
        name = f"{path.parent.name}-{path.name}"
        found = _existing("ollama", name, _ollama_blob(root, model), projector)
        if found is not None:
            yield found


def _ollama_blob(root: Path, digest: str) -> Path:
    return root / "blobs" / names.safe_component(digest.replace(":", "-"))
