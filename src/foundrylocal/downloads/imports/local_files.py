"""Finds the one model that a path on this machine names: its files in order, and what its header says.

Invariant: a file is accepted by its header, whatever its name. Files are only read, and an error repeats nothing of a
file's content unless the file is a GGUF.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from foundrylocal.catalog.file_names import (
    MAY_BE_WHOLE,
    FileKind,
    is_projector,
    kind_of,
    models_among,
    projector_among,
)
from foundrylocal.catalog.gguf.read import GgufHeader, GgufInvalid, read_header, read_model
from foundrylocal.catalog.gguf.split import first_part
from foundrylocal.errors import InvalidRequest

MAX_FILES_IN_FOLDER = 2000


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """A model's files in order, its projector last, and the model's header."""

    header: GgufHeader
    files: list[Path]
    has_projector: bool


def find_model(path_text: str, projector_text: str | None) -> LocalFiles:
    """The model at a path, which is a GGUF file or a folder with one; blocks on the disk.

    Raises InvalidRequest when the path does not hold exactly one sound model.
    """
    path = _absolute(path_text, "path")
    try:
        first, projector = _in_folder(path) if path.is_dir() else _beside(path)
        header, parts = read_model(first)
    except GgufInvalid as error:
        raise InvalidRequest("The file is not a valid GGUF model", error.reason, param="path") from None
    except FileNotFoundError:
        raise InvalidRequest(
            "There is no file at this path",
            "Give the path of a GGUF file on this machine, or of its folder.",
            param="path",
        ) from None
    except OSError as error:
        raise InvalidRequest("The path cannot be read", error.strerror, param="path") from None
    _require_model(header, first.name)
    if header.auxiliary_kind is FileKind.ADAPTER:
        projector = None
    elif projector_text is not None:
        projector = _checked_projector(projector_text)
    return LocalFiles(header, [*parts, *([projector] if projector else [])], projector is not None)


def _require_model(header: GgufHeader, name: str) -> None:
    """Refuse a file that belongs to a model, by its header or by a name that leaves no doubt; an adapter is fine."""
    if header.auxiliary_kind is FileKind.ADAPTER:
        return
    by_name = kind_of(name)
    if by_name in MAY_BE_WHOLE and not name.casefold().startswith("mtp-"):
        by_name = FileKind.MODEL
    kind = header.auxiliary_kind or by_name
    if kind is not FileKind.MODEL:
        reason = f"It is a {kind.value}" if header.auxiliary_kind else f"By its name it is a {kind.value}"
        raise InvalidRequest(
            "This GGUF file is not a model",
            f"{reason}. Give the path of the model it belongs to.",
            param="path",
        )


def refuse_links(files: Iterable[Path]) -> None:
    """Raise InvalidRequest for a symbolic link: its target belongs to some store, such as the hub's cache."""
    link = next((path for path in files if path.is_symlink()), None)
    if link is not None:
        raise InvalidRequest(
            f"'{link.name}' is a link and cannot be moved",
            "Import it with mode copy, or with mode link to use the file where it is.",
            param="mode",
        )


def _absolute(text: str, param: str) -> Path:
    if not Path(text).is_absolute():
        raise InvalidRequest(
            "The path must be absolute", "Give the full path, such as /data/model.gguf.", param=param
        )
    return Path(text)


def _checked_projector(text: str) -> Path:
    """The projector that the caller gave; its header decides, since its name may be a digest."""
    path = _absolute(text, "projector_path")
    try:
        if read_header(path).is_projector:
            return path
        reason: str | None = "It is another kind of GGUF file."
    except GgufInvalid as error:
        reason = error.reason
    except OSError as error:
        reason = error.strerror
    raise InvalidRequest("This is not a vision projector", reason, param="projector_path")


def _beside(path: Path) -> tuple[Path, Path | None]:
    """The first file of the model that a path names, and the projector in its folder."""
    projector = None
    if path.suffix.lower() == ".gguf":
        with contextlib.suppress(OSError):
            projector = projector_among(islice(path.parent.iterdir(), MAX_FILES_IN_FOLDER))
    return first_part(path), projector


def _in_folder(folder: Path) -> tuple[Path, Path | None]:
    """The first file of the one model in a folder, and its projector."""
    ggufs = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".gguf")[:MAX_FILES_IN_FOLDER]
    models = sorted({first_part(folder / name) for name in models_among(path.name for path in ggufs)})
    if not models:
        details = "It needs a *.gguf file that is a model, not only files that belong to one."
        raise InvalidRequest("The folder contains no GGUF model", details, param="path")
    if len(models) > 1:
        names = ", ".join(path.name for path in models[:5])
        raise InvalidRequest("The folder contains several models", f"Give one file: {names}", param="path")
    return models[0], next((path for path in ggufs if is_projector(path.name)), None)
