"""Split models: how the files of one are named, and which of them are missing.

Invariant: the parts of a split model are `STEM-NNNNN-of-NNNNN.gguf` in one folder, numbered from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_PARTS: Final = 1000
_NAME: Final = re.compile(
    r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(?P<extension>\.gguf)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SplitName:
    """The name of one part, taken apart."""

    stem: str
    number: int
    count: int
    extension: str

    def of_part(self, number: int) -> str:
        """The name of another part of the same model."""
        return f"{self.stem}-{number:05}-of-{self.count:05}{self.extension}"


def parse_split_name(name: str) -> SplitName | None:
    """The parts of a file's name or path; None when it is not named as a part."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return SplitName(found["stem"], int(found["number"]), int(found["count"]), found["extension"])


def first_part(path: Path) -> Path:
    """The file of the first part when `path` is any part; else `path` itself."""
    part = parse_split_name(path.name)
    return path.with_name(part.of_part(1)) if part is not None else path


def describe_parts(numbers: Iterable[int]) -> str:
    """Part numbers for people, in order: `part 2`, `parts 1, 3-5 and 9`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:10]]
    if len(runs) > len(texts):
        texts.append("more")
    is_one = len(texts) == 1 and "-" not in texts[0]
    listed = texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
    return f"{'part' if is_one else 'parts'} {listed}"
