"""Parses the engine's log lines: passes them to our log by level, and finds the reason of a failed load."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from time import monotonic

from foundrylocal.engine.llama_cpp.request_text import without_request_text

log = logging.getLogger("foundrylocal.FoundryLocalService")

# `0.00.033.491 E llama_model_load: error loading model: ...`
_LINE = re.compile(r"^(?:\d+\.\d\d\.\d{3}\.\d{3}\s+)?(?P<level>[DIWE])\s+(?P<text>\S.*)?$")
_LEVELS = {"D": logging.DEBUG, "I": logging.INFO, "W": logging.WARNING, "E": logging.ERROR}
# One of these lines comes with every request and token batch, or warns of a port where there is a private socket:
# of interest only when debugging.
_CHATTER = re.compile(
    r"^(slot|init: embeddings required|srv\s+(log_server_r|update_slots|params_from_|operator\(\)|init: security))"
)
# In quotes with whatever is between them, else up to the next blank. Possessive: a path is read in one way only.
_PATH = re.compile(
    r"""(?P<quote>['"])(?P<quoted>(?:[A-Za-z]:)?[/\\][^'"]*+)(?P=quote)"""
    r"""|(?<![\w./\\])(?P<plain>(?:[A-Za-z]:)?(?!//)[/\\][^\s'":]++)"""
)
_REASONS = (
    re.compile(r"error loading model: (?P<why>.+)$"),
    re.compile(r"(?P<why>(?:failed|unable) to allocate .+)$", re.IGNORECASE),
    re.compile(r"(?P<why>error: .+)$"),
)
_MEMORY = "out of memory"
_SAYS_NOTHING = "Failed to init server"
KEPT_LINES = 60
# For so long after a line that quotes a request nothing counts as the engine's own: the text of the request may go on
# with lines that look like it.
QUOTE_S = 2.0
LINE_LENGTH = 2_000


def without_folders(text: str) -> str:
    """Shorten paths to their last part: not everybody who reads an error may know where files are stored."""
    return _PATH.sub(_last_part, text)


def _last_part(found: re.Match[str]) -> str:
    path = (found["quoted"] or found["plain"]).replace("\\", "/").rstrip("/")
    return f"'{path.rpartition('/')[2]}'" if path.count("/") > 1 else found[0]


class EngineLog:
    """Takes the lines of one worker's standard error."""

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self._now_s = now_s
        self._quoted_at_s = -QUOTE_S
        self._last: deque[tuple[str, str]] = deque(maxlen=KEPT_LINES)
        self.line_count = 0
        self._is_serving = False

    def start_serving(self) -> None:
        """From now on remove the text of requests, which some of the engine's lines quote."""
        self._is_serving = True

    def add(self, line: str) -> None:
        self.line_count += 1
        line = line[:LINE_LENGTH].rstrip()
        if not line:
            return
        found = _LINE.match(line)
        level, text = (found["level"], found["text"] or "") if found else ("I", line)
        if self._is_serving:
            kept = self._own_words(text, is_stamped=found is not None)
            if kept is None:
                return
            text = kept
        self._last.append((level, text))
        rank = logging.DEBUG if level in "IW" and _CHATTER.match(text) else _LEVELS[level]
        if log.isEnabledFor(rank):  # most of them are not: with each request come some ten
            log.log(rank, "engine: %s", without_folders(" ".join(text.split())))

    def _own_words(self, text: str, *, is_stamped: bool) -> str | None:
        """What of a line the engine's authors wrote; None when that cannot be told or is nothing."""
        kept, now_s = without_request_text(text, is_stamped=is_stamped), self._now_s()
        is_in_quote = now_s - self._quoted_at_s < QUOTE_S
        if kept != text:
            self._quoted_at_s = now_s
        return None if is_in_quote and is_stamped else kept

    def last_lines(self) -> list[str]:
        """The last lines, oldest first, as the engine wrote them: they may name folders."""
        return [text for _, text in self._last]

    def reason(self, reported: str | None = None) -> str | None:
        """What went wrong, in the engine's own words or as the worker `reported` it; None when neither says."""
        lines = self.last_lines()
        for pattern in _REASONS:
            for text in lines:
                if found := pattern.search(text):
                    return without_folders(found["why"].strip())
        for text in lines:
            if _MEMORY in text.lower():
                return without_folders(text.strip())
        if reported and not reported.startswith(_SAYS_NOTHING):
            return reported
        errors = [text for level, text in self._last if level == "E"]
        return without_folders(" ".join(errors[0].split())) if errors else None
