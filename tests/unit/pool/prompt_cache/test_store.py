"""The store: what is listed, replaced, trimmed, swept, and what is refused."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from foundrylocal.pool.prompt_cache.folder import INDEX
from foundrylocal.pool.prompt_cache.saved_prompt import Fit
from foundrylocal.pool.prompt_cache.state_file import StateFileInvalid
from foundrylocal.pool.prompt_cache.store import SAVING_SUFFIX, PromptStore
from tests.unit.pool.prompt_cache.state_files import MODEL_ID, in_thread, write_slot

FIT, OTHER_OPTIONS, OTHER_BUILD = Fit("key", "origin"), Fit("key 2", "origin"), Fit("key 3", "origin 2")
MB = 1 << 20


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prompt-cache"


def open_store(path: Path, limit_bytes: int = MB, *, keep: bool = True) -> PromptStore:
    store = PromptStore(path, limit_bytes, Clock())
    store.open(keep=keep)
    return store


def add(
    store: PromptStore,
    name: str,
    tokens: Sequence[int],
    fit: Fit = FIT,
    useless: frozenset[str] = frozenset(),
) -> None:
    folder = store.folder()
    assert folder is not None
    written = write_slot(folder, name, tokens)
    in_thread(lambda: store.add(written, fit, MODEL_ID, useless))


def names(store: PromptStore) -> list[str]:
    return sorted(prompt.name for prompt in store.prompts)


def files(path: Path) -> list[str]:
    return sorted(one.name for one in path.iterdir()) if path.exists() else []


def test_a_prompt_is_listed_under_its_final_name_for_its_user_alone(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    assert files(path) == ["a", INDEX]
    (prompt,) = store.prompts
    assert (prompt.tokens, prompt.model_id, prompt.hits) == (100, MODEL_ID, 0)
    assert prompt.size_bytes == (path / "a").stat().st_size
    assert in_thread(lambda: store.is_intact(prompt))
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert {stat.S_IMODE(one.stat().st_mode) for one in path.iterdir()} == {0o600}


@pytest.mark.skipif(sys.platform == "win32", reason="no modes")
def test_a_folder_that_others_can_enter_is_made_private(path: Path) -> None:
    path.mkdir(mode=0o755)
    path.chmod(0o755)
    assert open_store(path).folder() == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_an_earlier_state_of_the_same_chat_is_replaced_and_its_hits_are_kept(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    store.count_hit("a")
    # The end of the last answer is rendered differently once the chat goes on.
    add(store, "b", [*range(95), *range(1000, 1100)])
    assert (names(store), files(path)) == (["b"], ["b", INDEX])
    assert store.prompts[0].hits == 1


def test_another_chat_with_the_same_beginning_is_kept_beside(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    add(store, "b", [*range(60), *range(1000, 1100)])
    add(store, "c", range(100), OTHER_OPTIONS)
    assert names(store) == ["a", "b", "c"]


def test_the_least_recently_used_leave_when_the_limit_is_reached(path: Path) -> None:
    store = open_store(path, limit_bytes=3 * 1412)
    for number, name in enumerate("abc"):
        add(store, name, range(number * 1000, number * 1000 + 100))
    store.count_hit("a")
    add(store, "d", range(5000, 5100))
    assert (names(store), files(path)) == (["a", "c", "d"], ["a", "c", "d", INDEX])
    store.set_limit(1500)
    assert names(store) == ["d"]


def test_one_that_is_larger_than_the_limit_drives_nobody_out(path: Path) -> None:
    store = open_store(path, limit_bytes=2000)
    add(store, "a", range(100))
    with pytest.raises(StateFileInvalid):
        add(store, "b", range(1000, 2000))
    assert (names(store), files(path)) == (["a"], ["a", INDEX])


def test_switching_the_cache_off_removes_everything_and_writes_nothing(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    store.set_limit(0)
    assert not path.exists()
    assert store.folder() is None
    assert not path.exists()
    assert open_store(path, limit_bytes=0).folder() is None


def test_a_file_cut_short_is_not_listed_and_not_left(path: Path) -> None:
    store = open_store(path)
    folder = store.folder()
    assert folder is not None
    written = write_slot(folder, "a", range(100))
    os.truncate(folder / ("a" + SAVING_SUFFIX), 700)
    with pytest.raises(StateFileInvalid):
        in_thread(lambda: store.add(written, FIT, MODEL_ID))
    assert (names(store), files(path)) == ([], [])


def test_what_an_interrupted_save_leaves_is_removed_at_the_next_start(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    write_slot(path, "b", range(100))
    (path / "c").write_bytes(b"renamed, but not listed")
    (path / f".{INDEX}.x.new").write_bytes(b"half an index")
    again = open_store(path)
    assert (names(again), files(path)) == (["a"], ["a", INDEX])


def test_nothing_is_taken_over_unless_it_is_to_be_kept(path: Path) -> None:
    add(open_store(path), "a", range(100))
    assert names(open_store(path, keep=True)) == ["a"]
    assert names(open_store(path, keep=False)) == []
    assert not path.exists()


def test_the_end_of_the_service_empties_the_folder_unless_it_is_to_be_kept(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    store.close(keep=True)
    assert files(path) == ["a", INDEX]
    store.close(keep=False)
    assert not path.exists()


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"version": 9}'], ids=["empty", "damaged", "of another version"]
)
def test_prompts_without_a_list_are_removed(path: Path, data: bytes) -> None:
    add(open_store(path), "a", range(100))
    (path / INDEX).write_bytes(data)
    assert names(open_store(path)) == []
    assert not path.exists()


def test_entries_whose_file_is_gone_or_has_another_size_are_dropped(path: Path) -> None:
    store = open_store(path)
    for number, name in enumerate("abc"):
        add(store, name, range(number * 1000, number * 1000 + 100))
    (path / "a").unlink()
    os.truncate(path / "b", 500)
    again = open_store(path)
    assert (names(again), files(path)) == (["c"], ["c", INDEX])


def test_one_changed_byte_is_noticed(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    data = bytearray((path / "a").read_bytes())
    data[-1] ^= 1
    (path / "a").write_bytes(data)
    assert not in_thread(lambda: store.is_intact(store.prompts[0]))


def test_prompts_of_another_build_of_the_same_model_are_dropped(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    add(store, "b", range(100), OTHER_OPTIONS)
    add(store, "c", range(100), OTHER_BUILD)
    store.drop_foreign("org/another", OTHER_BUILD)
    assert names(store) == ["a", "b", "c"]
    store.drop_foreign(MODEL_ID, FIT)
    assert names(store) == ["a", "b"]


def test_what_fits_comes_with_the_last_used_first(path: Path) -> None:
    store = open_store(path)
    for number, name in enumerate("abc"):
        add(store, name, range(number * 1000, number * 1000 + 100))
    add(store, "d", range(100), OTHER_OPTIONS)
    store.count_hit("b")
    assert [prompt.name for prompt in store.fitting(FIT)] == ["b", "c", "a"]


def test_a_chat_that_was_read_again_although_it_was_restored_ends_the_saving(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    add(store, "b", range(1000, 1100))
    add(store, "other", range(100), OTHER_OPTIONS)
    # Another chat took the slot: that says nothing of the one that was restored.
    add(store, "c", range(2000, 2100), useless=frozenset({"a"}))
    assert not store.is_useless(FIT)
    add(store, "d", range(200), useless=frozenset({"a"}))
    assert (store.is_useless(FIT), store.is_useless(OTHER_OPTIONS)) == (True, False)
    assert (names(store), files(path)) == (["other"], [INDEX, "other"])
    assert open_store(path).is_useless(FIT)


def test_clearing_removes_one_model_or_all(path: Path) -> None:
    store = open_store(path)
    add(store, "a", range(100))
    add(store, "b", range(1000, 1100))
    assert store.clear("org/another") == ()
    assert len(store.clear()) == 2
    assert (names(store), files(path)) == ([], [INDEX])


@pytest.mark.skipif(sys.platform == "win32", reason="no links without rights")
def test_a_link_in_place_of_the_folder_is_neither_followed_nor_emptied(tmp_path: Path, path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_bytes(b"x")
    path.symlink_to(elsewhere)
    store = open_store(path)
    assert store.folder() is None
    store.close(keep=False)
    assert files(elsewhere) == ["mine"]
