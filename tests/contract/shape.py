"""Answers compared with published ones: every field, its type, their order."""

from __future__ import annotations

import re
from typing import Any

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def assert_like(answer: Any, published: Any, where: str = "answer") -> None:
    """`answer` has every field of `published`, in its order, with values of its type; more is fine."""
    if isinstance(published, dict):
        assert isinstance(answer, dict), where
        assert [name for name in answer if name in published] == list(published), where
        for name, value in published.items():
            assert_like(answer[name], value, f"{where}.{name}")
    elif isinstance(published, list):
        assert isinstance(answer, list), where
        for number, item in enumerate(answer):
            assert_like(item, published[0], f"{where}[{number}]")
    elif isinstance(published, str) and TIME.fullmatch(published):
        assert isinstance(answer, str) and TIME.fullmatch(answer), f"{where}: {answer!r}"
    else:
        assert type(answer) is type(published), f"{where}: {answer!r}"
