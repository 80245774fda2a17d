"""The owner of presets: merged by value, saved as a whole, and set aside when the file is damaged."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from foundrylocal.catalog.presets import FILE_NAME, PresetNotSaved, PresetStore

ONE, OTHER = "Maker/One-GGUF", "Maker/Other-GGUF"


def test_values_are_merged_and_null_removes_one(tmp_path: Path) -> None:
    store = PresetStore(tmp_path)
    store.change(ONE, {"context_size": 4096, "temperature": 0.5})
    changed = store.change(ONE, {"temperature": None, "pinned": False})
    assert changed.saved() == {"context_size": 4096, "pinned": False}
    assert store.of(OTHER).saved() == {}


def test_presets_survive_a_restart_under_any_spelling_of_the_id(tmp_path: Path) -> None:
    PresetStore(tmp_path).change(ONE, {"stop": "END", "lora": [{"model": "tone", "scale": 0.5}]})
    again = PresetStore(tmp_path)
    assert again.of(ONE.upper()).saved() == {"stop": ["END"], "lora": [{"model": "tone", "scale": 0.5}]}
    assert again.of(ONE) == PresetStore(tmp_path).of(ONE)


def test_the_last_value_that_goes_takes_the_entry_with_it(tmp_path: Path) -> None:
    store = PresetStore(tmp_path)
    store.change(ONE, {"seed": 1})
    store.change(ONE, {"seed": None})
    assert json.loads((tmp_path / FILE_NAME).read_bytes()) == {"presets": {}}
    assert not store.remove(ONE)
    store.change(ONE, {"seed": 1})
    assert store.remove(ONE)
    assert store.of(ONE).saved() == {}


def test_what_is_not_valid_changes_nothing(tmp_path: Path) -> None:
    store = PresetStore(tmp_path)
    store.change(ONE, {"seed": 1})
    before = (tmp_path / FILE_NAME).read_bytes()
    for wrong in ({"surprise": 1}, {"temperature": "hot"}, {"context_size": 1}, {"stop": [""]}):
        with pytest.raises(ValidationError):
            store.change(ONE, {"seed": 2, **wrong})
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert store.of(ONE).saved() == {"seed": 1}


def test_only_the_user_may_read_the_file(tmp_path: Path) -> None:
    PresetStore(tmp_path).change(ONE, {"system_prompt": "Private."})
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b"{}",
        b'{"presets": []}',
        b'{"presets": {"a": 1}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_file_is_set_aside(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(damaged)
    store = PresetStore(tmp_path)
    assert store.of("a").saved() == {}
    [aside] = tmp_path.glob("presets.corrupt-*")
    assert aside.read_bytes() == damaged
    store.change(ONE, {"seed": 1})
    assert PresetStore(tmp_path).of(ONE).saved() == {"seed": 1}


def test_a_disk_that_refuses_keeps_what_was_saved(tmp_path: Path) -> None:
    store = PresetStore(tmp_path)
    store.change(ONE, {"seed": 1})
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / FILE_NAME).mkdir()
    (tmp_path / FILE_NAME / "in the way").touch()
    with pytest.raises(PresetNotSaved):
        store.change(ONE, {"seed": 2})
    assert store.of(ONE).saved() == {"seed": 1}


def test_a_value_that_only_a_newer_version_knows_is_ignored_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved = {"presets": {"a": {"seed": 1, "surprise": 2}, "b": {"seed": 3}}}
    (tmp_path / FILE_NAME).write_text(json.dumps(saved))
    store = PresetStore(tmp_path)
    assert (store.of("a").saved(), store.of("b").saved()) == ({"seed": 1}, {"seed": 3})
    assert "surprise" in caplog.text
    assert not list(tmp_path.glob("presets.corrupt-*"))
