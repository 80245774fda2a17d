"""Where the standard library's logging meets ours: one handler to the ring, one to rotating files.

Loggers are named `foundrylocal.SOURCE`, with SOURCE as published. A log call never blocks the event loop:
the files are written by a thread of their own, and what a full disk refuses is dropped there.
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
from foundrylocal.logs.redaction import Redaction
from foundrylocal.logs.ring import LogRing

FILE_BYTES = 10 * 1024 * 1024
FILES_KEPT = 5
QUEUE_SIZE = 20_000
MESSAGE_LENGTH = 8_000


class _RingHandler(logging.Handler):
    def __init__(self, ring: LogRing, redaction: Redaction, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._ring = ring
        self._redaction = redaction
        self._loop = loop
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        message = self._redaction.clean(record.getMessage())[:MESSAGE_LENGTH]
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
        text = head + record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        # A log line is one line: what a request or a model's name smuggles in must not forge a second.
        return self._redaction.clean(text).replace("\r", "\\r").replace("\n", "\n    ")


class _PatientFileHandler(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk loses log lines, never a request."""


class _StderrHandler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """A closed pipe loses log lines, never a request."""


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def handleError(self, record: logging.LogRecord) -> None:
        """The queue is full: the writer is behind, and the ring has the line."""


class Logging:
    """A context: inside it the program's loggers write to the ring, to the files and, when verbose, to stderr."""

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
        lines: queue.Queue[logging.LogRecord] = queue.Queue(QUEUE_SIZE)
        file = _PatientFileHandler(
            self._folder / "foundrylocal.log",
            maxBytes=FILE_BYTES,
            backupCount=FILES_KEPT,
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
        with contextlib.suppress(OSError):  # what a full disk did not take
            self._file.close()
        self._ring.close()
