"""Every command in the documentation is run by a test, or stands in a short table with the reason why not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import Block, all_blocks, marked
from tests.docs.inventory import NOT_RUN, Place, places, problems, runner_files
from tests.running import REPOSITORY

MAX_NOT_RUN = 8
MAKE = [(page, block) for page, blocks in marked("make").items() for block in blocks]


def test_every_block_is_run_or_excused() -> None:
    assert problems(places(), NOT_RUN) == []
    assert len(NOT_RUN) <= MAX_NOT_RUN


def test_every_runner_exists() -> None:
    assert [path for path in runner_files() if not path.is_file()] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(("page", "block"), MAKE, ids=lambda value: getattr(value, "name", None))
def test_the_targets_of_make_exist(page: Path, block: Block) -> None:
    """Only what make would do is asked: the targets compile, measure or test for minutes."""
    for line in block.text.splitlines():
        command = line.partition("#")[0].split()
        if command:
            assert command[0] == "make", f"{page.name}:{block.line}: {line}"
            done = subprocess.run(
                ["make", "--dry-run", *command[1:]],
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
                timeout=30,
            )
            assert done.returncode == 0, done.stderr


# --- the inventory itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        ("bash", "foundrylocal ps"),
        ("", "foundrylocal ps"),
        ("text", "$ foundrylocal ps\nMODEL"),
        ("bash unknown", "foundrylocal ps"),
        ("powershell", "Invoke-RestMethod"),
        ("yaml", "a: 1"),
    ],
)
def test_a_block_that_nothing_runs_is_noticed(mark: str, text: str) -> None:
    place = Place("docs/page.md", Block(mark, 3, text))
    assert problems([place], {}) == [str(place)]
    assert problems([place], {place.key: "needs another machine"}) == []


@pytest.mark.parametrize(("mark", "text"), [("text", "MODEL  SIZE"), ("", "+---+"), ("bash tested", "true")])
def test_a_block_that_is_run_or_has_nothing_to_run_is_none(mark: str, text: str) -> None:
    assert problems([Place("docs/page.md", Block(mark, 3, text))], {}) == []


def test_an_excuse_that_excuses_nothing_is_noticed() -> None:
    assert problems(
        [Place("docs/page.md", Block("bash tested", 3, "true"))], {("docs/page.md", "true"): "why"}
    )


def test_a_block_in_a_list_and_a_file_name_are_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "1. Save this as **a.py**:\n\n   ```python tested\n   if x:\n       y\n   ```\n\n```bash\nls\n```\n"
    )
    assert list(all_blocks(page)) == [
        Block("python tested", 3, "if x:\n    y", "a.py"),
        Block("bash", 8, "ls"),
    ]
