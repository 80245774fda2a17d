"""The documentation names files that exist, and the map in docs/architecture.md shows every package."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SOURCE = REPOSITORY / "src" / "foundrylocal"
PAGES = [
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
]
_CODE = re.compile(r"`([^`\n]{1,200})`")
_FILE = re.compile(r"[\w./-]{1,200}\.(?:py|md|toml)")
_FOLDER = re.compile(r"[a-z_]{2,40}(?:/[a-z_]{2,40}){0,6}/")
_LINK = re.compile(r"\]\(([^)#:]{1,200})\)")


def named_paths(page: Path) -> Iterator[str]:
    """Files and folders of the repository that a page names as code or links to."""
    text = page.read_text("utf-8")
    for code in _CODE.findall(text):
        if _FILE.fullmatch(code) or _FOLDER.fullmatch(code):
            yield code
    yield from _LINK.findall(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    if "Superseded" in page.read_text("utf-8"):
        pytest.skip("a superseded decision names what is gone")
    roots = (REPOSITORY, SOURCE, page.parent)
    missing = [name for name in named_paths(page) if not any((root / name).exists() for root in roots)]
    assert not missing


def test_the_architecture_names_every_package_and_answers_with_files() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    map_of_packages = text.partition("## Map")[2].partition("```\n\n")[0]
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert not [name for name in packages if f"{name}/" not in map_of_packages]
    named = set(named_paths(REPOSITORY / "docs" / "architecture.md"))
    assert len([name for name in named if name.endswith(".py")]) > 30


def test_the_index_links_every_page_and_the_readme_links_the_index() -> None:
    docs = REPOSITORY / "docs"
    linked = {(docs / link).resolve() for link in _LINK.findall((docs / "README.md").read_text("utf-8"))}
    pages = {page for page in docs.rglob("*.md") if page.parent.name != "decisions"} - {docs / "README.md"}
    assert pages - linked == set()
    assert "](docs/README.md)" in (REPOSITORY / "README.md").read_text("utf-8")


def test_the_page_of_contributing_leads_to_the_architecture() -> None:
    assert "docs/architecture.md" in (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")


# What answers each question of docs/architecture.md stands in the file that the page names, and where it says.
ANSWERS = {
    "server/start.py": "raise ServerAlreadyRunning(",
    "downloads/staging/checksum.py": "raise ChecksumMismatch(",
    "gateway/flow/relay.py": "flow_control(",
    "settings/schema.py": "class Settings(",
    "wire/load_options.py": "class LoadSettings(",
    "worker/parameters.py": "LOAD_OPTIONS",
    "gateway/routes.py": 'Route("/v1/chat/completions"',
    "api/app.py": "ROUTERS",
    "engine/launcher.py": "class Launcher(Protocol)",
    "pool/eviction.py": "victims",
    "web/security.py": "def _check_origin(",
    "web/errors.py": "_STATUS",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_question_is_answered_by_the_file_that_the_architecture_names(name: str) -> None:
    assert f"`{name}`" in (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    assert ANSWERS[name] in (SOURCE / name).read_text("utf-8")


def test_only_one_file_decides_that_a_server_is_already_running() -> None:
    raising = [
        path for path in SOURCE.rglob("*.py") if "raise ServerAlreadyRunning(" in path.read_text("utf-8")
    ]
    assert raising == [SOURCE / "server" / "start.py"]


def test_every_decision_has_a_number_of_its_own() -> None:
    pages = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    numbers = [int(page.name.partition("-")[0]) for page in pages]
    assert numbers == sorted(set(numbers))
    for page, number in zip(pages, numbers, strict=True):
        assert page.read_text("utf-8").startswith(f"# {number}. "), page.name
