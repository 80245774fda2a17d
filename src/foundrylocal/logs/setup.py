"""Connects the standard library's logging to the ring buffer and to rotating files.

Loggers are named `foundrylocal.SOURCE`, with SOURCE as published. Invariant: a log call never blocks the event
loop, since a thread of its own writes the files and drops what a full disk refuses; and every line is recorded
without secrets, control characters escaped, so that no text in it can forge another line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import queue
import threading
from pathlib import Path
from types import TracebackType
from typing import TextIO

from foundrylocal.kit.clock import format_time
from foundrylocal.logs.escape import escape_controls
from foundrylocal.logs.redaction import Redaction
from foundrylocal.logs.ring import LogRing

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_OLD_FILES = 5
MAX_QUEUED_LINES = 20_000
MAX_MESSAGE_CHARS = 8_000


def clean_message(text: str, redaction: Redaction) -> str:
    """What is recorded of a message: without secrets, escaped, cut to MAX_MESSAGE_CHARS."""
    # Cut twice: text of any length must not be searched, and a cut secret would not be recognized.
    return escape_controls(redaction.clean(text[: 2 * MAX_MESSAGE_CHARS]))[:MAX_MESSAGE_CHARS]


class _RingHandler(logging.Handler):
    def __init__(self, ring: LogRing, redaction: Redaction, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._ring = ring
        self._redaction = redaction
        self._loop = loop
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        message = clean_message(record.getMessage(), self._redaction)
        args = (record.created, record.levelname, message, record.name.rpartition(".")[2])
        if threading.get_ident() == self._thread:
            self._ring.add(*args)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring.add, *args)


class _FileFormatter(logging.Formatter):
    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        head = f"{format_time(record.created)} {record.levelname} {record.name.rpartition('.')[2]}: "
        lines = [head + clean_message(record.getMessage(), self._redaction)]
        if record.exc_info:
            # The lines of a traceback are indented, so that none looks like a line of its own.
            trace = self.formatException(record.exc_info).splitlines()
            lines += [f"    {clean_message(line, self._redaction)}" for line in trace]
        return "\n".join(lines)


class _LossyFileHandler(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk loses log lines, never a request."""


class _StderrHandler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """A closed pipe loses log lines, never a request."""


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def handleError(self, record: logging.LogRecord) -> None:
        """The queue is full because the writer is behind; the ring has the line."""


class Logging:
    """A context manager: the program's loggers write to the ring, to files and, when verbose, to standard error."""

    def __init__(
        self, ring: LogRing, redaction: Redaction, folder: Path, level: str, *, is_verbose: bool = False
    ) -> None:
        self._ring = ring
        self._is_verbose = is_verbose
        self._redaction = redaction
        self._folder = folder
        self._logger = logging.getLogger("foundrylocal")
        self._level = level
        self._handlers: list[logging.Handler] = []

    def set_level(self, level: str) -> None:
        self._logger.setLevel(level)

    def __enter__(self) -> Logging:
        lines: queue.Queue[logging.LogRecord] = queue.Queue(MAX_QUEUED_LINES)
        file = _LossyFileHandler(
            self._folder / "foundrylocal.log",
            maxBytes=MAX_FILE_BYTES,
            backupCount=MAX_OLD_FILES,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )
        file.setFormatter(_FileFormatter(self._redaction))
        writers: list[logging.Handler] = [file]
        if self._is_verbose:
            stderr = _StderrHandler()
            stderr.setFormatter(_FileFormatter(self._redaction))
            writers.append(stderr)
        self._listener = logging.handlers.QueueListener(lines, *writers)
        ring = _RingHandler(self._ring, self._redaction, asyncio.get_running_loop())
        self._handlers = [ring, _DroppingQueueHandler(lines)]
        for handler in self._handlers:
            self._logger.addHandler(handler)
        self._logger.setLevel(self._level)
        self._logger.propagate = False
        self._listener.start()
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handler in self._handlers:
            self._logger.removeHandler(handler)
        self._listener.stop()
        with contextlib.suppress(OSError):  # a full disk refuses the last lines
            self._file.close()
        self._ring.close()
