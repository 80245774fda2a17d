"""Each everyday task leads to a page, or a section of one, whose commands run and show the same verb."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import RUNNERS, Block, all_blocks
from tests.docs.everyday import PAGE, read_tasks

TASKS = read_tasks()
# What a program does, where a task has no verb of `foundrylocal`.
SUBJECTS = {24: "OpenAI(", 25: "allowed_origins", 26: "uv tool install", 29: "podman run"}
# A verb in other words on the page: 4 and 11 have several, 8 imports, 21 sets variables.
_LINK = re.compile(r"\]\(([\w./-]{1,80})(?:#([\w-]{1,80}))?\)")
_VERB = re.compile(r"foundrylocal (--)?([a-z][a-z-]{1,20})")
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")
_HEADING = re.compile(r"(#{1,4}) (.{1,120})")


def links_of(number: int) -> list[tuple[Path, str]]:
    """The pages and anchors that the section of a task leads to."""
    section = PAGE.read_text("utf-8").split(f"\n## {number}. ")[1].split("\n## ")[0]
    return [((PAGE.parent / page).resolve(), anchor) for page, anchor in _LINK.findall(section)]


def lines_of(page: Path, anchor: str) -> range:
    """The lines below a heading, up to the next one of its level; all of the page without an anchor."""
    lines = page.read_text("utf-8").splitlines()
    level, start, is_code = 0, 0, False
    for number, line in enumerate(lines, 1):
        is_code ^= line.lstrip().startswith("```")
        heading = None if is_code else _HEADING.fullmatch(line)
        if heading is None:
            continue
        if start and len(heading[1]) <= level:
            return range(start, number)
        if _NOT_IN_ANCHORS.sub("", heading[2].lower()).replace(" ", "-") == anchor:
            level, start = len(heading[1]), number
    assert start or not anchor, f"{page.name} has no heading for #{anchor}"
    return range(start, len(lines) + 1)


def run_blocks(page: Path, anchor: str) -> list[Block]:
    within = lines_of(page, anchor)
    return [block for block in all_blocks(page) if block.line in within and block.runner in RUNNERS]


def subject_of(number: int) -> str:
    """What the linked page has to show: the verb of the task's first command."""
    if number in SUBJECTS:
        return SUBJECTS[number]
    verb = _VERB.search("\n".join(TASKS[number].commands) or "")
    return verb[0] if verb else TASKS[number].commands[0].split()[0]


@pytest.mark.parametrize("number", TASKS)
def test_a_task_leads_to_commands_that_run(number: int) -> None:
    links = links_of(number)
    assert links, "no link"
    assert [page for page, _ in links if not page.exists()] == []
    shown = [block.text for page, anchor in links for block in run_blocks(page, anchor)]
    assert [text for text in shown if subject_of(number) in text], (subject_of(number), links)


def test_a_section_ends_at_the_next_heading_of_its_level(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n## One\n\n```bash tested\n# ## Two\ntrue\n```\n\n### More\n\n## Two\n\n```bash tested\nls\n```\n"
    )
    assert [block.text for block in run_blocks(page, "one")] == ["# ## Two\ntrue"]
    assert [block.text for block in run_blocks(page, "two")] == ["ls"]
    assert len(run_blocks(page, "")) == 2
    with pytest.raises(AssertionError, match="no heading"):
        run_blocks(page, "three")
