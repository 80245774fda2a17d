"""The log: the ring, resuming, redaction, and files that stay within their bounds."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from foundrylocal.logs import setup
from foundrylocal.logs.redaction import Redaction
from foundrylocal.logs.ring import RING_SIZE, LogRing
from foundrylocal.logs.setup import Logging


def _fill(ring: LogRing, count: int) -> None:
    for number in range(count):
        ring.add(0.0, "INFO" if number % 2 else "ERROR", f"line {number}", "API")


def test_recent_entries_are_filtered_and_oldest_first() -> None:
    ring = LogRing()
    _fill(ring, 10)
    assert [entry.message for entry in ring.recent(2)] == ["line 8", "line 9"]
    assert [entry.message for entry in ring.recent(2, level="ERROR")] == ["line 6", "line 8"]
    assert ring.recent(5, source="HealthMonitor") == []


def test_a_reader_resumes_without_a_loss_or_hears_of_it() -> None:
    async def main() -> None:
        ring = LogRing()
        _fill(ring, 20)
        lost, subscription = ring.follow(after=15)
        ring.close()
        assert lost == 0
        assert [entry.number async for entry in subscription] == [16, 17, 18, 19, 20]

        long = LogRing()
        _fill(long, RING_SIZE + 50)
        assert long.follow(after=10)[0] == 40
        assert long.follow(after=10_000_000)[0] is None

        anew = LogRing(before=1000)
        _fill(anew, 3)
        lost, subscription = anew.follow(after=15)
        anew.close()
        assert lost is None
        assert [entry.number async for entry in subscription] == [1001, 1002, 1003]

    anyio.run(main)


@pytest.mark.parametrize(
    "secret",
    [
        "fl-tGyWkKa-dYFFebLxCce3HQTUEVBTtbe2AnUZ",
        "hf_abcdefghijklmnopqrstuvwx",
        "Bearer something-else",
        "https://me:secret@host/x",
        "a canary",
    ],
)
def test_what_looks_like_a_secret_is_replaced(secret: str) -> None:
    redaction = Redaction()
    redaction.add("a canary")
    text = redaction.clean(f"before {secret} after")
    assert "[redacted]" in text
    for part in ("tGyWkKa", "abcdefghij", "something-else", "secret@", "canary"):
        assert part not in text
    assert text.startswith("before ")
    assert text.endswith(" after")


def test_ordinary_names_are_left_alone() -> None:
    text = "Model loaded: SmolLM2-135M-Instruct-Q4_1-GGUF at http://127.0.0.1:1234/v1"
    assert Redaction().clean(text) == text


def test_a_line_is_one_line_in_the_file_and_holds_no_key(tmp_path: Path) -> None:
    async def main() -> None:
        ring, redaction = LogRing(), Redaction()
        with Logging(ring, redaction, tmp_path, "INFO"):
            log = logging.getLogger("foundrylocal.API")
            log.info("one\n2025-01-01T00:00:00Z ERROR API: forged, key fl-%s", "x" * 40)
            log.debug("not recorded")
        (entry,) = ring.recent(10)
        assert (entry.level, entry.source) == ("INFO", "API")
        assert "x" * 40 not in entry.message

    anyio.run(main)
    lines = (tmp_path / "foundrylocal.log").read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("    ")
    assert "x" * 40 not in "".join(lines)


def test_row_21_rotation_keeps_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "FILE_BYTES", 10_000)

    async def main() -> None:
        with Logging(LogRing(), Redaction(), tmp_path, "INFO"):
            for number in range(2_000):
                logging.getLogger("foundrylocal.API").info("line %d %s", number, "x" * 100)

    anyio.run(main)
    files = list(tmp_path.iterdir())
    assert len(files) <= setup.FILES_KEPT + 1
    assert all(file.stat().st_size <= 10_000 for file in files)


def test_row_21_a_disk_that_refuses_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        ring = LogRing()
        (tmp_path / "foundrylocal.log").symlink_to("/dev/full")
        with Logging(ring, Redaction(), tmp_path, "INFO"):
            for number in range(100):
                logging.getLogger("foundrylocal.API").info("line %d", number)
        assert len(ring.recent(1000)) == 100

    anyio.run(main)
