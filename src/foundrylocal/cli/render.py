"""Output for people: bars and tables at a terminal, plain lines everywhere else, with the same words.

Rich is imported only at a terminal, when there is something to draw.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from foundrylocal.kit.sizes import format_bytes

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from foundrylocal.cli.failure import Failure

# Text from models and services must not control the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_EVERY_PERCENT = 10.0
_LINE_EVERY_S = 10.0


def clean(text: str) -> str:
    """The text without control characters other than line breaks and tabs."""
    return _CONTROLS.sub("", text)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def say(text: str = "") -> None:
    """Print prose and flush it, so that a reader of a pipe sees it immediately.

    At a terminal, a long line is broken between words.
    """
    shown = clean(text)
    if is_terminal() and len(shown) > (columns := _columns()):
        lines = shown.split("\n")
        shown = "\n".join("\n".join(_lines(line, columns)) if len(line) > columns else line for line in lines)
    print(shown, flush=True)


def say_verbatim(text: str) -> None:
    """Print and flush what people copy, such as a command, JSON or an entry of the log; nothing is broken."""
    print(clean(text), flush=True)


def report(answer: object, text: str, *, as_json: bool) -> None:
    """Print what the service answered: all of it as JSON, or the text for people."""
    if as_json:
        print(json.dumps(answer, indent=2), flush=True)
    else:
        say(text)


def progress_beside(*, as_json: bool) -> contextlib.AbstractContextManager[Any]:
    """With --json, what is printed inside goes to standard error, so that standard output is the answer alone."""
    return contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()


def show_failure(failure: Failure) -> None:
    """Print on stderr what happened, why, and what to do next."""
    sys.stdout.flush()
    print(f"Error: {clean(failure.what)}", file=sys.stderr)
    # The gateway's errors have the reason in their message too, for clients that show only that.
    below = clean(failure.why).splitlines() if failure.why and failure.why not in failure.what else []
    if failure.next_step:
        below.append(f"Next: {clean(failure.next_step)}")
    for text in below:
        for line in _lines(text, _columns() - 2) if sys.stderr.isatty() else [text]:
            print(f"  {line}", file=sys.stderr)
    sys.stderr.flush()


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns; at a terminal that is too narrow for them, one block for each row. Nothing is wrapped or cut."""
    shown = [[clean(cell) for cell in row] for row in [titles, *rows]]
    widths = [max(len(row[column]) for row in shown) for column in range(len(titles))]
    if is_terminal() and sum(widths) + 2 * (len(widths) - 1) > _columns():
        _blocks(shown[0], shown[1:])
        return
    for number, row in enumerate(shown):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        print(line if number else _bold(line), flush=True)


def _blocks(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Each row as its first cell, and the others below it with their titles; empty cells are left out."""
    width = max(len(title) for title in titles[1:])
    for name, *values in rows:
        print(_bold(name or "-"))
        for title, value in zip(titles[1:], values, strict=True):
            if value and value != "-":
                print(f"  {title.lower().ljust(width)}  {value}")
    sys.stdout.flush()


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _bold(text: str) -> str:
    is_plain = not is_terminal() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if is_plain else f"\x1b[1m{text}\x1b[0m"


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one pair per line; leave out values that are None.

    At a terminal, a long value goes on below its beginning.
    """
    shown = [(name, str(value)) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say_beside(f"{name.ljust(width)}  ", value)


def say_beside(prefix: str, text: str) -> None:
    """Print a text behind a prefix; at a terminal, a long one goes on below its beginning."""
    lines = _lines(clean(text), _columns() - len(prefix)) if is_terminal() else [clean(text)]
    say(prefix + lines[0])
    for line in lines[1:]:
        say(" " * len(prefix) + line)


def _lines(text: str, columns: int) -> list[str]:
    """The text in lines of that length, broken between words only."""
    return textwrap.wrap(text, max(20, columns), break_long_words=False, break_on_hyphens=False) or [""]


class OperationView:
    """The progress of one operation: milestones as lines, measures as a bar or as occasional lines."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._has_bytes = False
        self._stage = ""
        self._said_percent = -_LINE_EVERY_PERCENT
        self._said_at = 0.0
        self._said = ""

    def __enter__(self) -> OperationView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_bar()

    def show(self, event: dict[str, Any]) -> None:
        """One event of the stream."""
        measure = event.get("progress")
        message = str(event.get("message", ""))
        if not isinstance(measure, dict) or measure.get("percent") is None:
            self._end_bar()
            if message != self._said:
                self._said = message
                say(message)
        elif is_terminal():
            self._draw(measure)
        else:
            self._say_occasionally(message, measure)

    def _say_occasionally(self, message: str, measure: dict[str, Any]) -> None:
        percent = float(measure["percent"])
        stage = str(measure.get("stage"))
        if stage != self._stage:
            self._stage, self._said_percent = stage, -_LINE_EVERY_PERCENT
        now = time.monotonic()
        is_step = percent - self._said_percent >= _LINE_EVERY_PERCENT
        is_last = percent >= 100.0 > self._said_percent
        is_overdue = percent > self._said_percent and now - self._said_at >= _LINE_EVERY_S
        # Consecutive stages may have the same message.
        if (is_step or is_last or is_overdue) and message != self._said:
            self._said_percent, self._said_at, self._said = percent, now, message
            say(message)

    def _draw(self, measure: dict[str, Any]) -> None:
        stage = str(measure.get("stage") or "working")
        total = measure.get("total_bytes")
        if self._bar is None or self._has_bytes != (total is not None):
            self._end_bar()
            self._has_bytes = total is not None
            self._bar = _bar(has_bytes=self._has_bytes)
            self._bar.start()
        if self._task is None:
            self._task = self._bar.add_task(clean(stage).capitalize(), total=total or 100.0)
        elif stage != self._stage:
            self._bar.reset(self._task, description=clean(stage).capitalize())
        self._stage = stage
        if self._task is not None:
            done = measure.get("downloaded_bytes") if total is not None else None
            self._bar.update(
                self._task,
                total=total or 100.0,
                completed=float(measure["percent"]) if done is None else done,
            )

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None


def _bar(*, has_bytes: bool) -> Progress:
    from rich import progress
    from rich.text import Text

    class Bytes(progress.ProgressColumn):
        """Bytes in the units of every other figure here."""

        def render(self, task: progress.Task) -> Text:
            speed = task.finished_speed or task.speed
            rate = f"  {format_bytes(int(speed))}/s" if speed else ""
            return Text(f"{format_bytes(int(task.completed))} / {format_bytes(int(task.total or 0))}{rate}")

    columns: list[progress.ProgressColumn] = [
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
    ]
    if has_bytes:
        columns += [Bytes(), progress.TimeRemainingColumn()]
    return progress.Progress(*columns)
