"""Write the two pages on errors from the error classes; a test fails if a page is out of date.

`docs/reference/errors.md` lists them by status and code, `docs/how-to/when-it-fails.md` by message.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import foundrylocal
from foundrylocal.cli.failure import NEXT_STEPS
from foundrylocal.errors import FoundryLocalError, InvalidApiKey, InvalidManagementKey
from foundrylocal.web.errors import status_of

_DOCS = Path(__file__).resolve().parent.parent / "docs"
REFERENCE = _DOCS / "reference" / "errors.md"
BY_MESSAGE = _DOCS / "how-to" / "when-it-fails.md"
BEGIN, END = "<!-- table: python -m scripts.errors_doc -->\n", "<!-- end of the table -->\n"

# Example values for the parameters of error classes; a text that is not here is its name in capitals.
_EXAMPLES: dict[str, Any] = {
    "limit_bytes": 1048576,
    "retry_after_s": 5,
    "prompt_tokens": 9000,
    "context_tokens": 8192,
    "param": "messages",
    "timeout_s": 60,
    "wait_s": 30,
    "port": 1234,
    "method": "POST",
    "status": "starting",
    "expired_at": "2026-01-01T00:00:00Z",
    "allowed": ("GET",),
    "known": ("NAME",),
    "nearest": "NAME",
    "reasons": {"OPTION": "REASON"},
    "needed": "3.2 GB",
    "free": "2.1 GB",
    "model_name": "MODEL",
}
_EXAMPLES_OF_A_CLASS: dict[str, dict[str, Any]] = {"ScopeNotAllowed": {"scope": "read", "needed": "manage"}}
_TAKES_ANY_MESSAGE = "message"


def _classes(base: type[FoundryLocalError] = FoundryLocalError) -> Iterator[type[FoundryLocalError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _classes(kind)


def _import_everything() -> None:
    for module in pkgutil.walk_packages(foundrylocal.__path__, "foundrylocal."):
        if ".worker" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _value(parameter: inspect.Parameter) -> Any:
    name = parameter.name
    if name == "limit":
        return 64 if "int" in str(parameter.annotation) else "20 requests per minute"
    return _EXAMPLES.get(name, name.upper())


def _example(kind: type[FoundryLocalError]) -> FoundryLocalError:
    """An error of the class with example values."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    required = [one for one in parameters if one.default is inspect.Parameter.empty]
    own = _EXAMPLES_OF_A_CLASS.get(kind.__name__, {})
    return kind(*[own.get(one.name, _value(one)) for one in required])


def examples() -> list[FoundryLocalError]:
    """One error of each class that has a message of its own."""
    _import_everything()
    ours = {kind for kind in _classes() if kind.__module__.startswith("foundrylocal.")}
    found = [
        _example(kind)
        for kind in ours
        if _TAKES_ANY_MESSAGE not in inspect.signature(kind.__init__).parameters
    ]
    return sorted(found, key=lambda error: (status_of(error), error.code, error.message, error.details or ""))


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def reference_table() -> str:
    """Status, code, type, message and details of each error."""
    head = "| status | code | type | message | details |\n| --- | --- | --- | --- | --- |\n"
    rows = [
        f"| {status_of(error)} | `{error.code}` | `{error.type}` "
        f"| {_cell(error.message)} | {_cell(error.details)} |\n"
        for error in examples()
    ]
    return head + "".join(dict.fromkeys(rows))


def _next_step(error: FoundryLocalError) -> str:
    """What the command line suggests: a command as code, a sentence as it is."""
    if error.code == InvalidApiKey.code and not isinstance(error, InvalidManagementKey):
        return ""  # the gateway's keys are not given to the command line
    step = NEXT_STEPS.get(error.code, "")
    return f"`{step}`" if step.startswith("foundrylocal") and "," not in step else step


def table_by_message() -> str:
    """Message, what to do, and the command that helps."""
    head = "| message | what to do | command |\n| --- | --- | --- |\n"
    rows = [
        f"| {_cell(error.message)} | {_cell(error.details)} | {_next_step(error)} |\n"
        for error in sorted(examples(), key=lambda error: (error.message.lower(), error.details or ""))
    ]
    return head + "".join(dict.fromkeys(rows))


def with_table(page: str, table: str) -> str:
    """The page with the table as it is now."""
    before, begin, rest = page.partition(BEGIN)
    assert begin, "the page has no place for the table"
    return before + BEGIN + table + END + rest.partition(END)[2]


if __name__ == "__main__":
    REFERENCE.write_text(with_table(REFERENCE.read_text("utf-8"), reference_table()), "utf-8")
    BY_MESSAGE.write_text(with_table(BY_MESSAGE.read_text("utf-8"), table_by_message()), "utf-8")
    sys.exit(0)
