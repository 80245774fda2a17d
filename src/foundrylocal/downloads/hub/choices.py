"""The models in a repository on the hub, one for each quantization, and which one is meant.

Invariant: a choice has every part of a split model, and the projector of its repository if there is one. Files that
only belong to a model are never a choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from foundrylocal.catalog.file_names import (
    FileKind,
    file_name,
    is_projector,
    kind_of,
    models_among,
    quantization_of,
)
from foundrylocal.catalog.gguf.split import describe_parts, parse_split_name
from foundrylocal.catalog.registry import SourceFile

# The most useful projector first: the same images, half the size of F32.
_PROJECTOR_ORDER = ("f16", "bf16", "q8_0", "f32")
PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class Choice:
    """One quantization in a repository: the files to fetch; the size is None when the hub does not give it."""

    quantization: str | None
    files: tuple[SourceFile, ...]

    @property
    def size_bytes(self) -> int | None:
        sizes = [file.size_bytes for file in self.files if file.size_bytes is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None


@dataclass(frozen=True, slots=True)
class IncompleteSplit:
    """A split model of which the repository lacks parts; `missing` says which, for people."""

    quantization: str | None
    files: tuple[SourceFile, ...]
    missing: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What a repository has: its models, smallest first, and the files that belong to one."""

    choices: tuple[Choice, ...] = ()
    incomplete: tuple[IncompleteSplit, ...] = ()
    others: tuple[tuple[SourceFile, FileKind], ...] = ()


def offer_of(files: Iterable[SourceFile]) -> Offer:
    """The models among the GGUF files of a repository."""
    by_path = {file.path: file for file in files}
    projectors = [file for path, file in by_path.items() if is_projector(path)]
    projector = min(projectors, key=_projector_rank, default=None)
    models = models_among(by_path)
    model_paths = set(models)
    choices, incomplete = [], []
    for group in _groups(by_path[path] for path in models):
        quantization = quantization_of(group[0].path)
        missing = _missing_parts(group)
        if missing is not None:
            incomplete.append(IncompleteSplit(quantization, group, missing))
        else:
            choices.append(Choice(quantization, group + ((projector,) if projector is not None else ())))
    return Offer(
        tuple(sorted(choices, key=lambda choice: choice.size_bytes or 0)),
        tuple(incomplete),
        tuple((file, kind_of(path)) for path, file in by_path.items() if path not in model_paths),
    )


def pick(choices: Sequence[Choice], wanted: str | None) -> Choice | None:
    """The choice with that quantization or file name; without one the most common quantization."""
    if wanted is not None:
        return next((choice for choice in choices if _is_meant(choice, wanted)), None)
    by_name = {choice.quantization: choice for choice in reversed(choices)}
    usual = next((by_name[name] for name in PREFERRED if name in by_name), None)
    return usual or next(iter(choices), None)


def pick_incomplete(offer: Offer, wanted: str | None) -> IncompleteSplit | None:
    """The incomplete split model that would have been picked."""
    if wanted is not None:
        return next((split for split in offer.incomplete if _is_meant(split, wanted)), None)
    return next(iter(offer.incomplete), None) if not offer.choices else None


def _is_meant(choice: Choice | IncompleteSplit, wanted: str) -> bool:
    wanted = wanted.casefold()
    paths = {file.path.casefold() for file in choice.files}
    is_named = wanted in paths or any(file_name(path) == wanted for path in paths)
    return is_named or (choice.quantization or "").casefold() == wanted


def _groups(files: Iterable[SourceFile]) -> list[tuple[SourceFile, ...]]:
    """The files of each model, the parts of a split one in order."""
    groups: dict[object, list[SourceFile]] = {}
    for file in files:
        part = parse_split_name(file.path)
        groups.setdefault((part.stem, part.count) if part is not None else file.path, []).append(file)
    return [tuple(sorted(group, key=lambda file: file.path)) for group in groups.values()]


def _missing_parts(group: Sequence[SourceFile]) -> str | None:
    parts = [part for file in group if (part := parse_split_name(file.path)) is not None]
    if not parts:
        return None
    missing = set(range(1, parts[0].count + 1)) - {part.number for part in parts}
    return f"{describe_parts(missing)} of {parts[0].count}" if missing else None


def _projector_rank(file: SourceFile) -> tuple[int, str]:
    quantization = (quantization_of(file.path) or "").casefold()
    order = _PROJECTOR_ORDER
    return (order.index(quantization) if quantization in order else len(order)), file.path
