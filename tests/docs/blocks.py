"""Fenced blocks of the documentation, and which test runs each: the second word of a fence (its mark) says so.

`bash tested`, `python tested` and `javascript tested` run to their end; `bash endless` runs until it shows something;
`bash chat` gets a terminal, and a question there; `text shown` was shown by the block before it; `bash service` is
the service from there on. Variables that a block exports are set in the next ones. What a page needs and does not
show stands in a comment: `<!-- service -->` starts one, `<!-- tested: COMMAND -->` runs a command.
A block after "save this as **NAME**" is kept under that name. RUNNERS has the other marks.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.running import REPOSITORY

ON_A_PAGE = "tests/docs/test_commands.py"
# The file that runs the blocks with a mark.
RUNNERS = {
    "tested": ON_A_PAGE,
    "chat": ON_A_PAGE,
    "endless": ON_A_PAGE,
    "service": ON_A_PAGE,
    "shown": ON_A_PAGE,
    "task": "tests/docs/test_everyday_tasks.py",
    "make": "tests/docs/test_inventory.py",
    "data": "tests/docs/test_data_blocks.py",
    "manifest": "tests/docs/test_kubernetes.py",
    "kubectl": "tests/docs/test_kubernetes.py",
    "browser": "tests/browser/test_tutorial_page.py",
    "client": "tests/e2e/test_guides.py",
    "package": "tests/package/test_page_commands.py",
    "container": "tests/docs/test_container_commands.py",
    "cluster": "tests/cluster_slow/test_page.py",
}
PAGES = sorted(
    [*(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
)
_HIDDEN = re.compile(r"<!-- tested: (.{1,400}) -->")
_FILE_NAME = re.compile(r"\*\*([\w-]{1,40}\.(?:py|mjs|html))\*\*:$")
_PORT = re.compile(r"(?<=[:=])(9500|1234|11434)\b")


@dataclass(frozen=True, slots=True)
class Block:
    """`mark` is the whole info string; `line` is where its fence is, for messages."""

    mark: str
    line: int
    text: str
    file_name: str = ""

    @property
    def runner(self) -> str:
        """The second word of the info string."""
        return self.mark.partition(" ")[2]

    @property
    def first_line(self) -> str:
        return self.text.strip().partition("\n")[0].strip()


def all_blocks(page: Path) -> Iterator[Block]:
    """Every fenced block in its order, and the hidden commands."""
    start, mark, lines, before = 0, "", list[str](), ""
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if not line.lstrip().startswith("```"):
            lines.append(line)
            if not start:
                before = line or before
                if line == "<!-- service -->":
                    yield Block("bash service", number, "foundrylocal serve")
                elif hidden := _HIDDEN.fullmatch(line):
                    yield Block("bash tested", number, hidden[1])
        elif start:
            named = _FILE_NAME.search(before)
            yield Block(mark, start, textwrap.dedent("\n".join(lines)), named[1] if named else "")
            start, before = 0, ""
        else:
            start, mark, lines = number, line.strip().removeprefix("```"), []


def blocks_of(page: Path, runner: str = ON_A_PAGE) -> list[Block]:
    """The blocks of a page that a test file runs, in their order."""
    return [block for block in all_blocks(page) if RUNNERS.get(block.runner) == runner]


def marked(mark: str) -> dict[Path, list[Block]]:
    """The blocks with a mark by their pages."""
    found = {page: [block for block in all_blocks(page) if block.runner == mark] for page in PAGES}
    return {page: blocks for page, blocks in found.items() if blocks}


def with_ports(text: str, ports: Mapping[str, int]) -> str:
    """The text with the ports of the documentation replaced by those of the test."""
    return _PORT.sub(lambda match: str(ports.get(match[1], match[1])), text)
