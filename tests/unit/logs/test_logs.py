"""The log: the ring, resuming, redaction, and files that stay within their bounds."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from foundrylocal.events import LogEntry
from foundrylocal.logs import ring as ring_module
from foundrylocal.logs import setup
from foundrylocal.logs.escape import escape_controls
from foundrylocal.logs.redaction import Redaction
from foundrylocal.logs.ring import MAX_LINES, LogLine, LogReader, LogRing
from foundrylocal.logs.setup import Logging


def _fill(ring: LogRing, count: int) -> None:
    for number in range(count):
        ring.add(0.0, "INFO" if number % 2 else "ERROR", f"line {number}", "API")


def _take_all(reader: LogReader) -> list[int]:
    numbers: list[int] = []
    while batch := reader.take_batch():
        numbers += [line.entry.number for line in batch]
    return numbers


def test_recent_lines_are_filtered_and_oldest_first() -> None:
    ring = LogRing()
    _fill(ring, 10)
    assert [line.entry.message for line in ring.recent(2)] == ["line 8", "line 9"]
    assert [line.entry.message for line in ring.recent(2, level="ERROR")] == ["line 6", "line 8"]
    assert ring.recent(5, source="HealthMonitor") == []


def test_a_reader_resumes_without_loss_or_learns_of_it() -> None:
    ring = LogRing()
    _fill(ring, 20)
    reader = ring.follow(after=15)
    assert (reader.is_new_run, reader.take_lost()) == (False, 0)
    assert _take_all(reader) == [16, 17, 18, 19, 20]
    assert _take_all(ring.follow()) == []
    assert _take_all(ring.follow(tail=2)) == [19, 20]
    assert _take_all(ring.follow(tail=100)) == list(range(1, 21))

    long = LogRing()
    _fill(long, MAX_LINES + 50)
    reader = long.follow(after=10)
    assert (reader.is_new_run, reader.take_lost()) == (False, 40)
    assert _take_all(reader)[0] == 51
    assert long.follow(after=10_000_000).is_new_run

    anew = LogRing(before=1000)
    _fill(anew, 3)
    reader = anew.follow(after=15)
    assert (reader.is_new_run, reader.take_lost()) == (True, 0)
    assert _take_all(reader) == [1001, 1002, 1003]


def test_a_reader_gets_every_line_in_order_until_the_ring_is_closed() -> None:
    async def main() -> None:
        ring = LogRing()
        reader = ring.follow()
        seen: list[int] = []

        async def read() -> None:
            while await reader.wait():
                assert reader.take_lost() == 0
                seen.extend(line.entry.number for line in reader.take_batch())
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
                _fill(ring, 100)
            ring.close()
        assert seen == list(range(1, 5001))

    anyio.run(main)


def test_a_slow_reader_loses_the_oldest_lines_and_learns_how_many() -> None:
    ring = LogRing()
    slow = ring.follow()
    _fill(ring, MAX_LINES + 7)
    first = slow.take_lost()
    taken = _take_all(slow)
    assert (first, taken[0], taken[-1]) == (7, 8, MAX_LINES + 7)
    assert len(taken) == MAX_LINES


def test_the_ring_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_module, "MAX_BYTES", 100_000)
    ring = LogRing()
    stalled = ring.follow()
    for _ in range(100):
        ring.add(0.0, "INFO", "x" * 8_000, "API")
    kept = ring.recent(10_000)
    assert sum(len(line.entry.message) for line in kept) <= 100_000
    assert len(kept) == 100_000 // (8_000 + 200)
    assert stalled.take_lost() == 100 - len(kept)
    for _ in range(5_000):
        ring.add(0.0, "INFO", "short", "API")
    assert len(ring.recent(10_000)) == 100_000 // 205


def test_a_batch_is_bounded_by_bytes() -> None:
    ring = LogRing()
    reader = ring.follow()
    for _ in range(100):
        ring.add(0.0, "INFO", "x" * 8_000, "API")
    assert len(reader.take_batch()) == 4
    ring.add(0.0, "INFO", "x" * 8_000_000, "API")
    assert len(ring.follow(tail=1).take_batch()) == 1


def test_a_line_is_encoded_once_for_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    render = ring_module.render_line

    def counted(time: float, level: str, message: str, source: str) -> bytes:
        encoded.append(message)
        return render(time, level, message, source)

    monkeypatch.setattr(ring_module, "render_line", counted)
    ring = LogRing()
    readers = [ring.follow() for _ in range(40)]
    _fill(ring, 10)
    events = [b"".join(line.event for line in reader.take_batch()) for reader in readers]
    assert [line.json for line in ring.recent(10)]
    assert len(set(events)) == 1
    assert encoded == [f"line {number}" for number in range(10)]


UNSAFE = [chr(code) for code in (*range(32), *range(127, 160), 0x2028, 0x2029, 0x202E, 0x2066)]


@pytest.mark.parametrize("char", UNSAFE, ids=lambda char: f"U+{ord(char):04X}")
def test_control_characters_are_escaped_in_the_ring_the_files_and_the_stream(
    char: str, tmp_path: Path
) -> None:
    async def main() -> LogRing:
        ring = LogRing()
        with Logging(ring, Redaction(), tmp_path, "INFO"):
            log = logging.getLogger("foundrylocal.API")
            log.info("one %s2025-01-01T00:00:00Z ERROR API: forged", char)
            try:
                raise ValueError(f"two {char}2025-01-01T00:00:00Z ERROR API: forged")
            except ValueError:
                log.exception("three %s", char)
        return ring

    ring = anyio.run(main)
    text = (tmp_path / "foundrylocal.log").read_bytes().decode("utf-8")
    for line in ring.recent(10):
        assert char not in line.entry.message
        assert char.encode("utf-8", "surrogatepass") not in line.json
        assert line.event.count(b"\n") == 3
        assert len(line.json.decode().splitlines()) == 1
    assert char == "\n" or char not in text
    own = [line for line in text.split("\n") if line and not line.startswith("    ")]
    assert len(own) == 2, own


def test_half_of_a_surrogate_pair_is_escaped() -> None:
    for code in (0xD800, 0xDFFF):
        escaped = escape_controls(f"a{chr(code)}b")
        assert escaped == f"a\\u{code:04x}b"
        assert LogLine(LogEntry(1, 0.0, "INFO", escaped, "API")).event


def test_ordinary_text_of_any_language_is_left_alone() -> None:
    for text in ("plain", "naïve café 日本語 🎉 עברית", "C:\\Users\\me", 'quotes "and" \\n'):
        assert escape_controls(text) == text


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
        (line,) = ring.recent(10)
        assert (line.entry.level, line.entry.source) == ("INFO", "API")
        assert "x" * 40 not in line.entry.message

    anyio.run(main)
    lines = (tmp_path / "foundrylocal.log").read_text().splitlines()
    assert len(lines) == 1
    assert "one\\n2025" in lines[0]
    assert "x" * 40 not in lines[0]


def test_a_message_of_any_length_is_cut_after_its_secrets_were_replaced(tmp_path: Path) -> None:
    redaction = Redaction()
    redaction.add("canary" * 10)
    text = setup.clean_message(
        "y" * (setup.MAX_MESSAGE_CHARS - 30) + "canary" * 10 + "z" * 10_000_000, redaction
    )
    assert len(text) == setup.MAX_MESSAGE_CHARS
    assert "canary" not in text


def test_row_21_rotation_keeps_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "MAX_FILE_BYTES", 10_000)

    async def main() -> None:
        with Logging(LogRing(), Redaction(), tmp_path, "INFO"):
            for number in range(2_000):
                logging.getLogger("foundrylocal.API").info("line %d %s", number, "x" * 100)

    anyio.run(main)
    files = list(tmp_path.iterdir())
    assert len(files) <= setup.MAX_OLD_FILES + 1
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
