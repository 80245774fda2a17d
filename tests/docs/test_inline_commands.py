"""Commands within sentences and tables, which no test runs, name verbs and options that exist; so do all blocks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.cli_doc import PAGE as CLI_PAGE

from foundrylocal.settings.schema import Settings
from tests.docs.blocks import PAGES
from tests.running import REPOSITORY

_CODE = re.compile(r"`(foundrylocal [^`\n]{1,200})`")
_LINE = re.compile(r"^ *(?:sudo )?(foundrylocal [^\n]{1,300})$", re.MULTILINE)
_SECTION = re.compile(r"^#{2,3} foundrylocal ?(.{0,40})$", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]{0,30}")


def helps() -> dict[str, str]:
    """The help of each verb, and of each verb with its subcommand, by its words."""
    parts = _SECTION.split(CLI_PAGE.read_text("utf-8"))[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


HELPS = helps()


def words_of(command: str) -> list[str]:
    """The words of a command up to a comment, a pipe or an alternative."""
    bare = re.split(r"\s#|[|;>]\s|(?<=--version): | (?:&&|or) ", command)[0]
    try:
        return shlex.split(bare)[1:]
    except ValueError:  # a command that goes on in the next line
        return bare.split()[1:]


def problem(command: str) -> str:
    """What is wrong with a command: its verb, or one of its options."""
    words = words_of(command)
    named = [word for word in words if not word.startswith("-")]
    verb = next((" ".join(named[:count]) for count in (2, 1, 0) if " ".join(named[:count]) in HELPS), "")
    if words and named and named[0] != "VERB" and not verb:
        return f"no verb {named[0]}"
    known = set(_OPTION.findall(HELPS[verb])) | {"--help", "-h"}
    unknown = [
        word
        for word in words
        if word.startswith("-") and word.partition("=")[0] not in known and word != "--"
    ]
    return f"no option {unknown}" if unknown else ""


def commands(page: Path) -> Iterator[str]:
    text = page.read_text("utf-8")
    yield from _CODE.findall(text)
    yield from _LINE.findall(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_verbs_and_options_exist(page: Path) -> None:
    assert [(command, why) for command in commands(page) if (why := problem(command))] == []


def test_settings_that_are_set_exist() -> None:
    wrong = [
        command
        for page in PAGES
        for command in commands(page)
        if words_of(command)[:1] == ["config"]
        for word in words_of(command)[1:]
        if "=" in word and word.partition("=")[0] not in {*Settings.model_fields, "KEY"}
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("foundrylocal ps", ""),
        ("foundrylocal keys add NAME --scope read", ""),
        ("foundrylocal pss", "no verb"),
        ("foundrylocal ps --nothing", "no option"),
        ("foundrylocal keys add NAME --nothing", "no option"),
        ("foundrylocal --version", ""),
    ],
)
def test_a_wrong_command_is_noticed(command: str, why: str) -> None:
    assert problem(command).startswith(why) and bool(problem(command)) == bool(why)
