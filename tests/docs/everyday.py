"""The everyday tasks of docs/how-to/everyday-tasks.md, and what the machine of a test has for them.

Invariant: the page is the script. What a test runs is what the page shows, but for addresses, folders and keys of the
test's own, and for commands that install or build something.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.gguf_corpus import write_gguf
from tests.running import REPOSITORY

PAGE = REPOSITORY / "docs" / "how-to" / "everyday-tasks.md"
MAX_COMMANDS = 2
_HEADING = re.compile(r"## (\d{1,2})\. (.{1,100})")


@dataclass(frozen=True, slots=True)
class Task:
    """`commands` are lines of a shell; a Python block is one command."""

    number: int
    title: str
    commands: tuple[str, ...]
    python: str = ""


def read_tasks(page: Path = PAGE) -> dict[int, Task]:
    """The tasks of the page by their numbers. Raises ValueError for one without commands."""
    tasks: dict[int, Task] = {}
    for section in page.read_text("utf-8").split("\n## ")[1:]:
        heading = _HEADING.match("## " + section)
        if heading is None:
            raise ValueError(f"a heading without a number: {section[:60]}")
        number, title = int(heading[1]), heading[2]
        tasks[number] = Task(number, title, _commands(section), _block(section, "python task"))
        if not tasks[number].commands and not tasks[number].python:
            raise ValueError(f"task {number} has no commands")
    return tasks


def _block(section: str, mark: str) -> str:
    _, found, rest = section.partition(f"```{mark}\n")
    return rest.partition("```")[0] if found else ""


def _commands(section: str) -> tuple[str, ...]:
    lines = _block(section, "bash task").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


# --- what is on the machine -----------------------------------------------------------------------------


def write_model_file(folder: Path) -> None:
    """A model of the user's: ~/models/my-model.gguf."""
    models = folder / "models"
    models.mkdir()
    write_gguf(models / "my-model.gguf")


def write_ollama_store(folder: Path) -> None:
    """Ollama's store with llama3.2:1b in it."""
    root = folder / ".ollama" / "models"
    (root / "blobs").mkdir(parents=True)
    blob = write_gguf(root / "blobs" / "model")
    digest = hashlib.sha256(blob.read_bytes()).hexdigest()
    blob.rename(root / "blobs" / f"sha256-{digest}")
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / "llama3.2" / "1b"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}
    manifest.write_text(json.dumps({"layers": [layer]}))
