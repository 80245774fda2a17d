"""A Containerfile as instructions, and what can be run of it without a container engine."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

_FLAG = re.compile(r"--[a-z-]+=\S+\s*")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, continued lines joined; `stage` counts from 0, -1 before the first FROM."""

    name: str
    text: str
    stage: int

    @property
    def words(self) -> list[str]:
        """Its words; those of the JSON form, or of the shell form without flags."""
        bare = _FLAG.sub("", self.text)
        return list(json.loads(bare)) if bare.startswith("[") else bare.split()


def instructions_of(path: Path) -> list[Instruction]:
    """The instructions in order. Raises ValueError for a line that is none."""
    found: list[Instruction] = []
    stage, waiting = -1, ""
    for line in path.read_text("utf-8").splitlines():
        if not waiting and (not line.strip() or line.startswith("#")):
            continue
        waiting += line.rstrip("\\").strip() + " "
        if line.endswith("\\"):
            continue
        name, _, text = waiting.strip().partition(" ")
        if not re.fullmatch(r"[A-Z]{3,12}", name):
            raise ValueError(f"not an instruction: {waiting}")
        stage += name == "FROM"
        found.append(Instruction(name, text.strip(), stage))
        waiting = ""
    return found
