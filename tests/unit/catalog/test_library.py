"""The library: what is listed is what is there, and nothing outside the cache folder is touched."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import pytest

from fakes.gguf_corpus import gguf, write_split
from foundrylocal.catalog import manifest
from foundrylocal.catalog.gguf.read import GgufInvalid
from foundrylocal.catalog.library import PARTIAL_MAX_AGE_S, Library, StagedFile, Stored
from foundrylocal.catalog.registry import HubSource, Model, SourceFile
from foundrylocal.errors import ModelCorrupted, ModelNotOnDisk

GGUF = gguf()


def a_model(name: str = "Tiny-GGUF") -> Model:
    source = HubSource("me/repo", None, (SourceFile("tiny.gguf", len(GGUF), None),))
    return Model(f"me/{name}", name, None, None, None, None, None, (), (source,))


def store(library: Library, model: Model, *file_names: str, data: bytes = GGUF) -> Stored:
    place = library.place(model.model_id)
    place.partial.mkdir(parents=True, exist_ok=True)
    staged = []
    for name in file_names or ("tiny.gguf",):
        (place.partial / name).write_bytes(data)
        staged.append(StagedFile(place.partial / name, hashlib.sha256(data).hexdigest()))
    return library.commit(model, place, staged)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "cache")


def test_a_committed_model_is_listed_with_its_facts(library: Library) -> None:
    stored = store(library, a_model(), "tiny.gguf", "mmproj-tiny.gguf")
    assert library.get("ME/tiny-gguf" if os.name == "nt" else "me/Tiny-GGUF") == stored
    assert library.all() == [stored]
    assert library.check(a_model()) == stored
    assert stored.size_bytes == 2 * len(GGUF)
    assert stored.model_path.name == "tiny.gguf"
    assert stored.projector_path is not None
    assert stored.projector_path.name == "mmproj-tiny.gguf"
    assert not library.place("me/Tiny-GGUF").partial.exists()


def test_the_first_part_of_a_split_model_is_the_one_to_load(library: Library) -> None:
    place = library.place("me/Tiny-GGUF")
    place.partial.mkdir(parents=True)
    parts = write_split(place.partial, "m", 3)
    stored = library.commit(a_model(), place, [StagedFile(part, "0" * 64) for part in reversed(parts)])
    assert stored.model_path.name == "m-00001-of-00003.gguf"
    assert stored.projector_path is None
    assert library.check(a_model()) == stored
    with pytest.raises(GgufInvalid):
        store(library, a_model("Half-GGUF"), "m-00001-of-00002.gguf")


def test_each_header_is_read_once(library: Library) -> None:
    store(library, a_model(), "tiny.gguf", "mmproj-tiny.gguf")
    opened: list[str] = []
    is_watching = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        # Python's own file objects report the same opening once more, with a mode.
        is_opening = is_watching and event == "open" and arguments[1] is None
        if is_opening and str(arguments[0]).endswith(".gguf"):
            opened.append(Path(str(arguments[0])).name)

    sys.addaudithook(watch)
    found = library.inspect(a_model())
    is_watching = False
    assert sorted(set(opened)) == sorted(opened) == ["mmproj-tiny.gguf", "tiny.gguf"]
    assert found is not None
    assert found[1].context_length == 2048


def test_a_new_process_finds_what_is_there(library: Library) -> None:
    stored = store(library, a_model())
    assert Library(library.cache_dir).all() == [stored]


def test_a_second_name_of_a_file_changes_nothing_of_the_first(library: Library) -> None:
    """Its time is in the first model's manifest, fractions of a second included after a `restamp`."""
    first = store(library, a_model())
    os.utime(first.model_path, ns=(1_700_000_000_123_456_789,) * 2)
    library.restamp(first)
    place = library.place("me/Other-GGUF")
    place.partial.mkdir(parents=True)
    os.link(first.model_path, place.partial / "tiny.gguf")
    library.commit(
        a_model("Other-GGUF"), place, [StagedFile(place.partial / "tiny.gguf", first.files[0].sha256)]
    )
    assert [stored.model_id for stored in library.all()] == ["me/Other-GGUF", "me/Tiny-GGUF"]


def test_nothing_is_listed_without_a_manifest(library: Library) -> None:
    folder = library.place("me/Tiny-GGUF").folder
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(GGUF)
    assert library.all() == []
    assert library.get("me/Tiny-GGUF") is None
    assert library.check(a_model()) is None


@pytest.mark.parametrize("damage", ["remove", "truncate", "touch", "zero", "link", "folder"])
def test_row_20_a_damaged_file_is_noticed_behind_our_back(
    library: Library, damage: str, tmp_path: Path
) -> None:
    stored = store(library, a_model())
    assert library.all()
    path = stored.model_path
    found = path.stat()
    match damage:
        case "remove":
            path.unlink()
        case "truncate":
            os.truncate(path, found.st_size - 1)
        case "touch":
            os.utime(path)
        case "zero":
            path.write_bytes(bytes(found.st_size))
            os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns))
        case "link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case "folder":
            path.unlink()
            path.mkdir()
    with pytest.raises(ModelCorrupted):
        library.check(a_model())
    if damage != "zero":
        assert library.all() == []
        assert library.get("me/Tiny-GGUF") is None


def test_a_file_that_is_no_gguf_is_not_committed(library: Library) -> None:
    with pytest.raises(GgufInvalid):
        store(library, a_model(), data=b"<html>not found</html>")
    assert library.all() == []


def test_delete_frees_exactly_the_files_and_leaves_others(library: Library) -> None:
    stored = store(library, a_model(), "tiny.gguf", "mmproj-tiny.gguf")
    (stored.folder / "notes.txt").write_text("mine")
    assert library.delete("me/Tiny-GGUF") == 2 * len(GGUF)
    assert [path.name for path in stored.folder.iterdir()] == ["notes.txt"]
    assert library.all() == []
    with pytest.raises(ModelNotOnDisk):
        library.delete("me/Tiny-GGUF")


def test_delete_removes_empty_folders_and_counts_shared_content_as_kept(
    library: Library, tmp_path: Path
) -> None:
    stored = store(library, a_model())
    os.link(stored.model_path, tmp_path / "second name")
    assert library.delete("me/Tiny-GGUF") == 0
    assert not stored.folder.parent.exists()
    assert (tmp_path / "second name").read_bytes() == GGUF


def test_delete_works_on_a_damaged_model(library: Library) -> None:
    stored = store(library, a_model())
    os.truncate(stored.model_path, 10)
    assert library.delete("me/Tiny-GGUF") == 10


def test_a_linked_file_is_listed_and_never_removed(library: Library, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.gguf"
    foreign.write_bytes(GGUF)
    before = foreign.stat().st_mtime_ns
    place = library.place("me/Tiny-GGUF")
    stored = library.commit(a_model(), place, [StagedFile(foreign, "0" * 64, is_linked=True)])
    assert stored.model_path == foreign
    assert library.all() == [stored]
    assert library.delete("me/Tiny-GGUF") == 0
    assert foreign.stat().st_mtime_ns == before


def test_a_new_commit_leaves_no_file_of_the_old_one(library: Library, tmp_path: Path) -> None:
    stored = store(library, a_model(), "old.gguf", "both.gguf")
    foreign = tmp_path / "foreign.gguf"
    foreign.write_bytes(GGUF)
    place = library.place("me/Tiny-GGUF")
    place.partial.mkdir(parents=True)
    (place.partial / "both.gguf").write_bytes(GGUF)
    staged = [
        StagedFile(foreign, "0" * 64, is_linked=True),
        StagedFile(place.partial / "both.gguf", "0" * 64),
    ]
    again = library.commit(a_model(), place, staged)
    assert library.all() == [again]
    assert {path.name for path in stored.folder.iterdir()} == {"both.gguf", "manifest.json"}


def test_a_folder_that_became_a_link_is_not_followed(library: Library, tmp_path: Path) -> None:
    stored = store(library, a_model())
    stored.folder.rename(tmp_path / "moved")
    stored.folder.symlink_to(tmp_path / "moved", target_is_directory=True)
    assert library.all() == []
    assert library.get("me/Tiny-GGUF") is None
    with pytest.raises(ModelNotOnDisk):
        library.delete("me/Tiny-GGUF")
    library.sweep()
    assert (tmp_path / "moved" / "tiny.gguf").exists()


@pytest.mark.parametrize("part", ["models", "models/me", "models/me/Tiny-GGUF"])
def test_a_link_anywhere_on_the_way_to_a_model_is_not_followed(
    library: Library, tmp_path: Path, part: str
) -> None:
    store(library, a_model())
    elsewhere = tmp_path / "elsewhere"
    (library.cache_dir / part).rename(elsewhere)
    (library.cache_dir / part).symlink_to(elsewhere, target_is_directory=True)
    before = sorted(path for path in elsewhere.rglob("*"))
    assert library.all() == []
    assert library.get("me/Tiny-GGUF") is None
    assert library.check(a_model()) is None
    with pytest.raises(ModelNotOnDisk):
        library.delete("me/Tiny-GGUF")
    library.sweep()
    with pytest.raises(NotADirectoryError):
        library.recover(library.place("me/Tiny-GGUF"))
    with pytest.raises(NotADirectoryError):
        store(library, a_model())
    assert sorted(path for path in elsewhere.rglob("*")) == before


@pytest.mark.parametrize("part", ["partial", "partial/me", "partial/me/Tiny-GGUF"])
def test_a_link_anywhere_on_the_way_to_what_is_gathered_is_not_followed(
    library: Library, tmp_path: Path, part: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (library.cache_dir / part).parent.mkdir(parents=True)
    elsewhere.mkdir()
    (library.cache_dir / part).symlink_to(elsewhere, target_is_directory=True)
    old = elsewhere / "old" / "old"
    old.mkdir(parents=True)
    for path in (old, old.parent):
        os.utime(path, (0, 0))
    with pytest.raises(NotADirectoryError):
        library.recover(library.place("me/Tiny-GGUF"))
    with pytest.raises(NotADirectoryError):
        store(library, a_model())
    library.place("me/Tiny-GGUF").try_to_clear_partial()
    library.sweep()
    assert old.exists()


def test_a_commit_of_files_that_changed_meanwhile_says_so(library: Library, tmp_path: Path) -> None:
    place = library.place("me/Tiny-GGUF")
    place.partial.mkdir(parents=True)
    (tmp_path / "blob").write_bytes(GGUF)
    (place.partial / "tiny.gguf").symlink_to(tmp_path / "blob")
    with pytest.raises(OSError, match="changed"):
        library.commit(a_model(), place, [StagedFile(place.partial / "tiny.gguf", "0" * 64)])
    assert library.all() == []
    assert (tmp_path / "blob").read_bytes() == GGUF


@pytest.mark.parametrize("name", ["../../outside.gguf", "/etc/hostname", "a/b.gguf", ".hidden", ""])
def test_a_manifest_that_names_files_elsewhere_is_not_believed(
    library: Library, name: str, tmp_path: Path
) -> None:
    stored = store(library, a_model())
    path = stored.folder / "manifest.json"
    document = json.loads(path.read_bytes())
    document["files"][0]["name"] = name
    path.write_text(json.dumps(document))
    (tmp_path / "outside.gguf").write_bytes(GGUF)
    assert library.all() == []
    library.delete("me/Tiny-GGUF")
    assert (tmp_path / "outside.gguf").exists()


@pytest.mark.parametrize(
    "text", ["", "\x00" * 100, "[]", "{}", '{"version": 1}', "[" * 100_000, "x" * 2_000_000]
)
def test_a_manifest_that_cannot_be_read_lists_nothing(library: Library, text: str) -> None:
    stored = store(library, a_model())
    (stored.folder / "manifest.json").write_text(text)
    assert library.all() == []
    assert library.get("me/Tiny-GGUF") is None


def test_a_copied_folder_is_not_listed_under_another_name(library: Library) -> None:
    stored = store(library, a_model())
    stored.folder.rename(stored.folder.with_name("Other-GGUF"))
    assert library.all() == []


def test_a_delete_that_was_cut_short_is_finished_by_the_sweep(library: Library) -> None:
    stored = store(library, a_model())
    (stored.folder / "manifest.json").rename(stored.folder / ".deleting.json")
    assert library.all() == []
    library.sweep()
    assert not stored.folder.exists()


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_a_commit_that_was_cut_short_is_finished_by_the_sweep(library: Library, moved: int) -> None:
    stored = store(library, a_model(), "a.gguf", "b.gguf")
    partial = library.place("me/Tiny-GGUF").partial
    partial.mkdir(parents=True)
    (stored.folder / "manifest.json").rename(stored.folder / ".committing.json")
    for name in ["a.gguf", "b.gguf"][moved:]:
        (stored.folder / name).rename(partial / name)
    library.sweep()
    assert library.all() == [stored]


def test_a_commit_whose_files_are_gone_is_taken_back(library: Library) -> None:
    stored = store(library, a_model(), "a.gguf", "b.gguf")
    (stored.folder / "manifest.json").rename(stored.folder / ".committing.json")
    (stored.folder / "b.gguf").unlink()
    library.sweep()
    assert not stored.folder.exists()


def test_the_sweep_removes_leftovers_and_keeps_what_can_resume(library: Library) -> None:
    stored = store(library, a_model())
    left = stored.folder / "..committing.json.abc.new"
    left.write_text("half")
    fresh, old = (library.cache_dir / "partial" / "me" / name for name in ("fresh", "old"))
    for folder in (fresh, old):
        folder.mkdir(parents=True)
        (folder / "x.part").write_text("half")
    past = time.time() - PARTIAL_MAX_AGE_S - 60
    for path in (old / "x.part", old):
        os.utime(path, (past, past))
    library.sweep()
    assert not left.exists()
    assert fresh.exists()
    assert not old.exists()
    assert library.all() == [stored]


def test_another_cache_folder_has_its_own_models(library: Library, tmp_path: Path) -> None:
    stored = store(library, a_model())
    library.set_cache_dir(tmp_path / "other")
    assert library.all() == []
    library.set_cache_dir(tmp_path / "cache")
    assert library.all() == [stored]


def test_a_manifest_survives_writing_and_reading(tmp_path: Path, library: Library) -> None:
    stored = store(library, a_model())
    (tmp_path / "manifest.json").write_bytes(manifest.render(stored))
    assert manifest.load(tmp_path / "manifest.json").files == stored.files
