"""What the names of GGUF files say: the quantization, and whether a file is a model or belongs to one.

Names are a convention only. Where a file itself can be read, its header decides (`gguf.header`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from foundrylocal.catalog.gguf.split import parse_split_name

_QUANTIZATION = re.compile(
    r"(?:^|[-_.])((?:UD[-_])?(?:IQ|Q)[1-8](?:_[A-Z0-9]+)*|TQ[12]_0|MXFP4(?:_MOE)?|BF16|F16|F32|FP16|FP32)(?=$|[-_.])",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[-_. ]")


class FileKind(Enum):
    """What a GGUF file is, by its name. Every kind but the first only works together with its model."""

    MODEL = "model"
    PROJECTOR = "vision projector"
    IMATRIX = "importance matrix"
    ADAPTER = "LoRA adapter"
    DRAFT = "draft model"
    MTP = "multi-token prediction head"


_OF_ADAPTERS = frozenset({None, "F16", "BF16", "F32", "FP16", "FP32", "Q8_0"})
MAY_BE_WHOLE = frozenset({FileKind.DRAFT, FileKind.MTP})
"""Kinds whose words are also part of some models' names: they count only beside files without them."""

_KIND_OF_WORD = {
    "imatrix": FileKind.IMATRIX,
    "lora": FileKind.ADAPTER,
    "loras": FileKind.ADAPTER,
    "adapter": FileKind.ADAPTER,
    "draft": FileKind.DRAFT,
    "drafter": FileKind.DRAFT,
    "dflash": FileKind.DRAFT,
    "eagle": FileKind.DRAFT,
    "eagle2": FileKind.DRAFT,
    "eagle3": FileKind.DRAFT,
    "medusa": FileKind.DRAFT,
    "mtp": FileKind.MTP,
    "nextn": FileKind.MTP,
}


def file_name(path: str) -> str:
    """The last component of a path in a repository, whichever slashes it uses."""
    return path.replace("\\", "/").rpartition("/")[2]


def stem_of(path: str) -> str:
    """A file's name without folder, part number and extension."""
    name = file_name(path)
    if (part := parse_split_name(name)) is not None:
        return part.stem
    return name[:-5] if name.lower().endswith(".gguf") else name


def quantization_of(path: str) -> str | None:
    """`Q4_K_M` from a file's name, or else from the nearest folder that names one; in capitals."""
    *folders, _ = path.replace("\\", "/").split("/")
    for text in (stem_of(path), *reversed(folders)):
        if found := _QUANTIZATION.findall(text):
            return str(found[-1]).upper()
    return None


def kind_of(path: str) -> FileKind:
    """What a file is by its name alone."""
    name = file_name(path).casefold()
    if "mmproj" in name:
        return FileKind.PROJECTOR
    kinds = [kind for word in _WORDS.split(name) if (kind := _KIND_OF_WORD.get(word)) is not None]
    kind = kinds[0] if kinds else FileKind.MODEL
    quantization = quantization_of(name)
    # Models that were quantized with the help of an importance matrix may carry the word, and models that a LoRA
    # was merged into, too. Adapters themselves are not quantized so far.
    if (kind is FileKind.IMATRIX and quantization is not None) or (
        kind is FileKind.ADAPTER and quantization not in _OF_ADAPTERS
    ):
        return FileKind.MODEL
    return kind


def is_projector(path: str) -> bool:
    """Whether a file is a vision projector by its name."""
    return kind_of(path) is FileKind.PROJECTOR


def models_among(paths: Iterable[str]) -> list[str]:
    """Those of one repository or folder that are models, in order; the others belong to a model."""
    kinds = {path: kind_of(path) for path in paths}
    models = [path for path, kind in kinds.items() if kind is FileKind.MODEL]
    return models or [path for path, kind in kinds.items() if kind in MAY_BE_WHOLE]


def projector_among(files: Iterable[Path]) -> Path | None:
    """The projector of the model in a folder; the model may be there in several quantizations.

    None when there are several projectors, or several models: with the projector of another model the engine
    would load neither.
    """
    ggufs = [path for path in files if path.suffix.lower() == ".gguf"]
    projectors = [path for path in ggufs if is_projector(path.name)]
    models = {_QUANTIZATION.sub("", stem_of(name)).casefold() for name in models_among(p.name for p in ggufs)}
    return projectors[0] if len(projectors) == 1 and len(models) == 1 else None
