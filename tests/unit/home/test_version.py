"""A home of another version: opened, or refused before anything in it changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from foundrylocal import __version__
from foundrylocal.home.lock import hold_home
from foundrylocal.home.version import FILE_NAME, HOME_FORMAT, HomeTooNew


def test_the_version_that_uses_a_home_is_recorded(tmp_path: Path) -> None:
    with hold_home(tmp_path):
        pass
    assert json.loads((tmp_path / FILE_NAME).read_bytes()) == {"version": __version__, "format": HOME_FORMAT}
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_home_of_a_newer_version_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    record = json.dumps({"version": "9.1.0", "format": HOME_FORMAT + 1})
    (tmp_path / FILE_NAME).write_text(record)
    with pytest.raises(HomeTooNew) as caught, hold_home(tmp_path):
        pytest.fail("the home was opened")
    assert "9.1.0" in caught.value.message
    assert "Install 9.1.0 or newer again" in (caught.value.details or "")
    assert (tmp_path / FILE_NAME).read_text() == record
    with pytest.raises(HomeTooNew), hold_home(tmp_path):  # the lock was released
        pass


def test_a_newer_version_with_the_same_format_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({"version": "9.1.0", "format": HOME_FORMAT}))
    with hold_home(tmp_path):
        pass
    assert json.loads((tmp_path / FILE_NAME).read_bytes())["version"] == __version__


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b"{}", b'{"version": 1, "format": "x"}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_record_is_replaced(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(damaged)
    with hold_home(tmp_path):
        pass
    assert json.loads((tmp_path / FILE_NAME).read_bytes())["format"] == HOME_FORMAT
