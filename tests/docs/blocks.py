"""Blocks of a Markdown page that run as tests, by the second word of their fence.

Blocks of bash, Python and JavaScript that are `tested` run to their end; `bash service` is the service from there on.
Variables that a block exports are set in the next ones. What a page needs and does not show stands in a comment:
`<!-- service -->` starts one, `<!-- tested: COMMAND -->` runs a command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MARKS = ("bash tested", "python tested", "javascript tested", "bash service")
# Blocks of docs/how-to/everyday-tasks.md, which tests/docs/test_everyday_tasks.py runs one by one.
TASK_MARKS = ("bash task", "python task")
_HIDDEN = re.compile(r"<!-- tested: (.{1,200}) -->")
_PORT = re.compile(r"(?<=[:=])(9500|1234|11434)\b")


@dataclass(frozen=True, slots=True)
class Block:
    """`line` is where its fence is, for messages."""

    mark: str
    line: int
    text: str


def blocks_of(page: Path) -> list[Block]:
    """The marked blocks in their order; a fence with another second word is an error."""
    found: list[Block] = []
    start, mark, lines = 0, "", list[str]()
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
            if not start and line == "<!-- service -->":
                found.append(Block("bash service", number, "foundrylocal serve"))
            elif not start and (hidden := _HIDDEN.fullmatch(line)):
                found.append(Block("bash tested", number, hidden[1]))
        elif start:
            if " " in mark and mark not in TASK_MARKS:
                assert mark in MARKS, f"{page.name}:{start}: unknown mark '{mark}'"
                found.append(Block(mark, start, "\n".join(lines)))
            start = 0
        else:
            start, mark, lines = number, line.removeprefix("```").strip(), []
    return found


def with_ports(text: str, ports: dict[str, int]) -> str:
    """The text with the ports of the documentation replaced by those of the test."""
    return _PORT.sub(lambda match: str(ports[match[1]]), text)
