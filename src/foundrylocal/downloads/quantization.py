"""What the names of GGUF files say: the quantization, and which files belong to one model.

Invariant: a choice has every part of a split model, and the projector of its repository when there is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from foundrylocal.catalog import names
from foundrylocal.catalog.registry import SourceFile

_QUANTIZATION = re.compile(
    r"(?:^|[-_.])((?:UD[-_])?(?:IQ|Q)[1-8](?:_[A-Z0-9]+)*|TQ[12]_0|MXFP4(?:_MOE)?|BF16|F16|F32|FP16|FP32)(?=$|[-_.])",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.IGNORECASE)
# The most useful projector first: the same pictures, half the size of F32.
_PROJECTOR_ORDER = ("f16", "bf16", "q8_0", "f32")
PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class Choice:
    """One quantization of a repository: the files to fetch; bytes are None when the hub gives no sizes."""

    quantization: str | None
    files: tuple[SourceFile, ...]

    @property
    def size_bytes(self) -> int | None:
        sizes = [file.size_bytes for file in self.files if file.size_bytes is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None


def stem_of(path: str) -> str:
    """A file's name without folder, part number and extension."""
    name = path.replace("\\", "/").rpartition("/")[2]
    if found := _SPLIT.fullmatch(name):
        return found["stem"]
    return name[:-5] if name.lower().endswith(".gguf") else name


def quantization_of(path: str) -> str | None:
    """`Q4_K_M` from a file's name, in capitals; the last one that it names."""
    found = _QUANTIZATION.findall(stem_of(path))
    return found[-1].upper() if found else None


def choices(files: Iterable[SourceFile]) -> list[Choice]:
    """The models among the GGUF files of a repository, in the order of their sizes."""
    files = list(files)
    projectors = [file for file in files if names.is_projector(file.path)]
    projector = min(projectors, key=_projector_rank, default=None)
    groups: dict[str, list[SourceFile]] = {}
    for file in files:
        if not names.is_projector(file.path):
            groups.setdefault(_group(file.path), []).append(file)
    found = []
    for group in groups.values():
        parts = tuple(sorted(group, key=lambda file: file.path))
        if _is_whole(parts):
            extra = (projector,) if projector is not None else ()
            found.append(Choice(quantization_of(parts[0].path), parts + extra))
    return sorted(found, key=lambda choice: choice.size_bytes or 0)


def pick(available: Iterable[Choice], what: str | None) -> Choice | None:
    """The choice of that quantization or file name; without one the usual quantization."""
    available = list(available)
    if what is not None:
        wanted = what.casefold()
        for choice in available:
            paths = {file.path.casefold() for file in choice.files}
            is_named = wanted in paths or any(path.rpartition("/")[2] == wanted for path in paths)
            if is_named or (choice.quantization or "").casefold() == wanted:
                return choice
        return None
    by_name = {choice.quantization: choice for choice in reversed(available)}
    usual = next((by_name[name] for name in PREFERRED if name in by_name), None)
    return usual or next(iter(available), None)


def projector_among(there: Iterable[Path]) -> Path | None:
    """The projector of the model that a folder holds, in whatever quantizations, by the names of its files.

    None when there are several projectors, or several models: with a projector of another model the engine
    would load neither.
    """
    ggufs = [path for path in there if path.suffix.lower() == ".gguf"]
    projectors = [path for path in ggufs if names.is_projector(path.name)]
    bases = {_base(path.name) for path in ggufs if path not in projectors}
    return projectors[0] if len(projectors) == 1 and len(bases) == 1 else None


def _base(name: str) -> str:
    return _QUANTIZATION.sub("", stem_of(name)).casefold()


def _group(path: str) -> str:
    found = _SPLIT.fullmatch(path)
    return f"{found['stem']}-of-{found['count']}" if found else path


def _is_whole(parts: tuple[SourceFile, ...]) -> bool:
    found = _SPLIT.fullmatch(parts[0].path)
    return found is None or len(parts) == int(found["count"])


def _projector_rank(file: SourceFile) -> tuple[int, str]:
    quantization = (quantization_of(file.path) or "").casefold()
    order = _PROJECTOR_ORDER
    return (order.index(quantization) if quantization in order else len(order)), file.path
