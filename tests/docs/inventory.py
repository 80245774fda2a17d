"""Every fenced block of the documentation by what runs it, and the few that nothing can run here, with the reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import PAGES, RUNNERS, Block, all_blocks
from tests.running import REPOSITORY

# By page and first line.
NOT_RUN: dict[tuple[str, str], str] = {
    (
        "docs/how-to/clients.md",
        "export OPENAI_API_BASE=http://127.0.0.1:1234/v1 OPENAI_API_KEY=fl-...",
    ): "needs an environment of its own, with old versions of its libraries; the page says that it is not tried",
    (
        "docs/how-to/gpu.md",
        "cmake -B build -DGGML_CUDA=ON -DLLAMA_LLGUIDANCE=ON && cmake --build build --target llama-server",
    ): "needs llama.cpp's sources and NVIDIA's compiler; `make engines` builds the same target for the processor",
}
# Blocks that only show something: output, a drawing, the help of a verb.
SHOWN = {"", "text"}
_COMMAND = re.compile(
    r"^\s*(?:\$ |sudo |(?:foundrylocal|curl|make|pip|pipx|uv|podman|docker|kubectl|cmake|export|python3?|node) )",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Place:
    """A block and its page, relative to the repository."""

    page: str
    block: Block

    def __str__(self) -> str:
        return f"{self.page}:{self.block.line} [{self.block.mark}] {self.block.first_line}"

    @property
    def key(self) -> tuple[str, str]:
        return (self.page, self.block.first_line)


def places() -> list[Place]:
    """All blocks of all pages."""
    return [Place(str(page.relative_to(REPOSITORY)), block) for page in PAGES for block in all_blocks(page)]


def only_shows(block: Block) -> bool:
    """Whether a block has nothing to run; help texts have examples of commands, which the help's own tests check."""
    if block.mark not in SHOWN:
        return False
    return block.text.startswith("Usage: ") or _COMMAND.search(block.text) is None


def problems(found: list[Place], not_run: dict[tuple[str, str], str]) -> list[str]:
    """Blocks that no test runs and no reason excuses, and entries of the table that excuse nothing."""
    unknown = [
        str(place)
        for place in found
        if not only_shows(place.block) and place.block.runner not in RUNNERS and place.key not in not_run
    ]
    excused = {place.key for place in found if place.block.runner not in RUNNERS}
    return unknown + [
        f"{page}: no block without a runner begins with '{line}'" for page, line in not_run.keys() - excused
    ]


def runner_files() -> set[Path]:
    return {REPOSITORY / name for name in RUNNERS.values()}
