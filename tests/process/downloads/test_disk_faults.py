"""What is kept on disk at the Nth system call, refused or killed: then the old state or the new one, never half."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from foundrylocal.catalog.library import Library, Stored
from foundrylocal.catalog.registry import Registry
from foundrylocal.downloads.imports.records import ImportedModels
from foundrylocal.downloads.pending import PendingDownloads
from foundrylocal.downloads.staging.partial_file import PartialFile
from foundrylocal.errors import ModelNotOnDisk

from .disk_steps import (
    DATA,
    FILES,
    MODEL,
    OLD_MODEL,
    REFUSED,
    STATE,
    add_to_imports,
    add_to_pending,
    commit,
    stage,
)

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

SCRIPT = Path(__file__).with_name("disk_steps.py")
FINISH = Path(__file__).with_name("finish_steps.py")
MAX_CALLS = 60


def run_with(injection: str, cache: Path, step: str, script: Path = SCRIPT) -> tuple[int, bool]:
    """Run a step; its exit code, and whether the fault came to pass."""
    log = cache.parent / "strace.log"
    calls = injection.partition(":")[0]
    command = [
        "strace",
        "-f",
        "-y",
        "-qq",
        "-o",
        str(log),
        "-e",
        f"trace={calls}",
        "-e",
        f"inject={injection}",
    ]
    command += [sys.executable, "-B", str(script), str(cache), step]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in ended.stderr
    return ended.returncode, "INJECTED" in log.read_text() or ended.returncode == -signal.SIGKILL


def state_of(cache: Path) -> Stored | None:
    """What a new process finds; a listed model must be whole."""
    stored = Library(cache).get(MODEL.model_id)
    if stored is not None:
        assert all((stored.folder / name).read_bytes() == DATA for name in FILES)
        assert Library(cache).check(MODEL) == stored
    return stored


def next_start(cache: Path) -> None:
    """What a start does; afterwards nothing half is left, and the next operations succeed."""
    library = Library(cache)
    library.sweep()
    state_of(cache)
    place = library.place(MODEL.model_id)
    left = {path.name for path in place.folder.glob("*")} if place.folder.exists() else set()
    assert left in (set(), {*FILES, "manifest.json"})
    if library.get(MODEL.model_id) is None:
        stage(cache)
        commit(library)
    assert state_of(cache) is not None
    assert library.delete(MODEL.model_id) == 2 * len(DATA)
    assert not place.folder.exists()


def prepared(folder: Path, step: str) -> Path:
    """A cache folder in which the step can be done."""
    cache = folder / "cache"
    stage(cache)
    if step != "commit":
        commit(Library(cache))
    if step == "restamp":
        for name in FILES:
            os.utime(Library(cache).place(MODEL.model_id).folder / name, (0, 0))
    return cache


REFUSALS = [
    ("write", "EIO"),
    ("fsync", "EIO"),
    ("rename", "EROFS"),
    ("rename", "EIO"),
    ("unlink", "EACCES"),
    ("mkdir", "EROFS"),
    ("utimensat", "EACCES"),
]
REFUSED_STEPS = [(step, *refusal) for step in ("commit", "delete") for refusal in REFUSALS]
# The other steps share most of their calls with these two: only the calls that are theirs.
REFUSED_STEPS += [
    ("reclaim", "rename", "EIO"),
    ("reclaim", "fsync", "EIO"),
    ("reclaim", "unlink", "EACCES"),
    ("reclaim", "mkdir", "EROFS"),
    ("restamp", "write", "EIO"),
    ("restamp", "fsync", "EIO"),
    ("restamp", "rename", "EROFS"),
]
KILLS = ("write", "fsync", "rename", "unlink", "mkdir", "rmdir", "utimensat")
KILLED_STEPS = [(step, call) for step in ("commit", "delete") for call in KILLS]
KILLED_STEPS += [("reclaim", call) for call in ("fsync", "rename", "unlink", "mkdir")]
KILLED_STEPS += [("restamp", call) for call in ("write", "fsync", "rename")]


@pytest.mark.parametrize(("step", "call", "error"), REFUSED_STEPS)
def test_row_18_a_disk_that_refuses_the_nth_call_gives_a_clean_error_or_success(
    tmp_path: Path, step: str, call: str, error: str
) -> None:
    for number in range(1, MAX_CALLS):
        cache = prepared(tmp_path / str(number), step)
        code, has_failed = run_with(f"{call}:error={error}:when={number}", cache, step)
        assert code in (0, REFUSED)
        stored = state_of(cache)
        if code == 0:
            assert (stored is not None) == (step in ("commit", "restamp"))
        next_start(cache)
        if not has_failed:
            assert code == 0
            return
    pytest.fail("there is no end of the calls")


@pytest.mark.parametrize(("step", "call"), KILLED_STEPS)
def test_row_19_killed_at_the_nth_call_there_is_the_old_state_or_the_new_one(
    tmp_path: Path, step: str, call: str
) -> None:
    for number in range(1, MAX_CALLS):
        cache = prepared(tmp_path / str(number), step)
        code, was_killed = run_with(f"{call}:signal=KILL:when={number}", cache, step)
        state_of(cache)
        next_start(cache)
        if not was_killed:
            assert code == 0
            return
    pytest.fail("there is no end of the calls")


def names_in(state: Path, step: str) -> list[str]:
    """What the next start finds in the list; it sweeps what was left beside it."""
    if step == "pending":
        found = anyio.run(PendingDownloads(state / "downloads.json").load)
    else:
        registry = Registry()
        anyio.run(ImportedModels(state / "imported.json", registry).load)
        found = [model.model_id for model in registry.all()]
    assert len(list(state.iterdir())) == 1
    return found


@pytest.mark.parametrize("step", ["pending", "imports"])
@pytest.mark.parametrize("call", ["fsync", "rename", "fchmod"])
@pytest.mark.parametrize("fault", ["error=EIO", "signal=KILL"])
def test_rows_18_and_19_a_list_at_the_nth_call_is_the_old_one_or_the_new_one(
    tmp_path: Path, step: str, call: str, fault: str
) -> None:
    add = add_to_pending if step == "pending" else add_to_imports
    old, new = [OLD_MODEL.model_id], [OLD_MODEL.model_id, MODEL.model_id]
    for number in range(1, MAX_CALLS):
        cache = tmp_path / str(number)
        state = cache / STATE
        state.mkdir(parents=True)
        anyio.run(add, state, OLD_MODEL)
        code, has_failed = run_with(f"{call}:{fault}:when={number}", cache, step)
        found = names_in(state, step)
        assert found in (old, new)
        if step == "imports" and code in (0, REFUSED):
            assert found == (new if code == 0 else old)
        if not has_failed:
            assert (code, found) == (0, new)
            return
        if found == old:
            anyio.run(add, state, MODEL)
            assert names_in(state, step) == new
    pytest.fail("there is no end of the calls")


def test_a_delete_that_was_refused_can_be_repeated(tmp_path: Path) -> None:
    cache = prepared(tmp_path, "delete")
    code, _ = run_with("unlink:error=EACCES:when=1", cache, "delete")
    assert code == REFUSED
    Library(cache).delete(MODEL.model_id)
    with pytest.raises(ModelNotOnDisk):
        Library(cache).delete(MODEL.model_id)


def test_row_18_a_file_is_noted_as_finished_only_when_its_bytes_are_on_the_disk(tmp_path: Path) -> None:
    """Whichever sync is refused: where there is a note that the file is whole, its bytes were synced before."""
    for number in range(1, MAX_CALLS):
        folder = tmp_path / str(number) / "partial"
        folder.mkdir(parents=True)
        code, has_failed = run_with(f"fsync:error=EIO:when={number}", folder, "finish", FINISH)
        assert code in (0, REFUSED)
        calls = (folder.parent / "strace.log").read_text()
        assert (PartialFile(folder, "tiny.gguf").finished() is not None) == (code == 0)
        if not has_failed:
            synced = [line for line in calls.splitlines() if "tiny.gguf.part>" in line]
            assert len(synced) == 1
            return
    pytest.fail("there is no end of the calls")
