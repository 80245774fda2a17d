"""Help as people read it, and what is said to those who type the words of other programs."""

from __future__ import annotations

import pytest

from tests.fakes.management_api import Run, Script


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["pull", "-h"], "Usage: foundrylocal pull [OPTIONS] MODEL\n"),
        (["run", "-h"], "Usage: foundrylocal run [OPTIONS] [MODEL] [PROMPT]\n"),
        (["set", "-h"], "Usage: foundrylocal set [OPTIONS] MODEL [KEY=VALUE]...\n"),
        (["keys", "add", "-h"], "Usage: foundrylocal keys add [OPTIONS] NAME...\n"),
        (["help", "pull"], "Usage: foundrylocal pull [OPTIONS] MODEL\n"),
        (["help"], "Usage: foundrylocal [OPTIONS] COMMAND [ARGS]...\n"),
    ],
)
def test_usage_names_the_values_in_capitals(run: Run, arguments: list[str], usage: str) -> None:
    code, out, _ = run(*arguments)
    assert code == 0 and out.startswith(usage)


def test_options_have_no_types_of_python(run: Run) -> None:
    out = run("run", "-h")[1]
    assert "--port NUMBER " in out and "--system TEXT " in out
    assert "<" not in run("list", "-h")[1].replace("<=", "")
    assert "--for [chat|code|" in run("list", "-h")[1]


@pytest.mark.parametrize(
    ("typed", "instead"),
    [
        ("models", "Use: foundrylocal list"),
        ("delete", "Use: foundrylocal rm MODEL"),
        ("version", "Use: foundrylocal --version"),
        ("chat", "Use: foundrylocal run MODEL"),
        ("serv", "Did you mean serve"),
    ],
)
def test_words_of_other_programs_lead_here(run: Run, typed: str, instead: str) -> None:
    code, _, err = run(typed)
    assert code == 2
    assert f"There is no command '{typed}'. {instead}" in err


def test_a_choice_that_does_not_exist_is_refused_in_plain_words(run: Run) -> None:
    code, _, err = run("list", "--for", "nothing")
    assert code == 2 and "'nothing' is not one of 'chat'" in err and "Value error" not in err


def test_the_short_option_of_the_version(run: Run) -> None:
    assert run("-v") == run("--version")


def test_stop_with_a_model_as_ollama_has_it_stops_nothing(service: Script, run: Run) -> None:
    code, _, err = run("stop", "llama3.2")
    assert code == 2 and "Next: foundrylocal unload llama3.2\n" in err
    assert service.calls == []
