"""Requirements and tests are tied both ways."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.contract.conftest import UNMARKED
from tests.contract.requirements import ALL, CONTRACT, PUBLISHED

HERE = Path(__file__).parent


def _named() -> set[str]:
    """Every id in a `requirement(...)` of this folder, read from the sources: a partial run sees them all."""
    found: set[str] = set()
    for path in HERE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "requirement":
                found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return found


def test_every_requirement_has_a_test() -> None:
    assert sorted(set(ALL) - _named()) == []


def test_every_test_names_a_requirement_that_there_is(request: pytest.FixtureRequest) -> None:
    assert sorted(_named() - set(ALL)) == []
    assert request.config.stash[UNMARKED] == []


def test_no_id_stands_for_two_things() -> None:
    assert not PUBLISHED.keys() & CONTRACT.keys()
