"""Links between pages lead to files and headings that exist; addresses of the repository's own pages are relative."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PAGES = [
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]
_LINK = re.compile(r"\]\(([^)\s]{1,300})\)")
_NOT_IN_ANCHORS = re.compile(r"[^\w\- ]")


def without_code(text: str) -> str:
    """The lines outside fenced blocks."""
    kept, is_code = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            is_code = not is_code
        elif not is_code:
            kept.append(line)
    return "\n".join(kept)


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    lines = without_code(page.read_text("utf-8")).splitlines()
    headings = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    return {_NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in _LINK.findall(without_code(page.read_text("utf-8"))):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# One heading, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text("[a](there.md#one-heading-with-code) [b](there.md#other) [c](gone.md) [d](#none)\n")
    assert broken_links(page) == ["there.md#other", "gone.md", "#none"]
