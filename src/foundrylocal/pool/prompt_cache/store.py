"""The saved prompts: which there are, which are replaced, which have to leave. The owner of the list and its folder.

Invariants: a prompt is listed only once its file is complete, on disk and under its final name. Together they take no
more than the limit, the least recently used ones leaving first. While the limit is 0, nothing is written.
"""

from __future__ import annotations

import logging
import threading
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from foundrylocal.downloads.staging.checksum import hash_file
from foundrylocal.kit.clock import now_s
from foundrylocal.pool.prompt_cache.folder import INDEX, PromptFolder
from foundrylocal.pool.prompt_cache.saved_prompt import Fit, Index, SavedPrompt
from foundrylocal.pool.prompt_cache.state_file import (
    StateFileInvalid,
    common_prefix_length,
    read_tokens,
)

log = logging.getLogger("foundrylocal.FoundryLocalService")

SAVING_SUFFIX = ".saving"
# A chat that goes on repeats all but the end of its last answer, which chat templates may render differently.
CONTINUED_SHARE = 0.9
MAX_USELESS_KEYS = 256


@dataclass(slots=True)
class WrittenSlot:
    """What an engine writes as `name` + SAVING_SUFFIX; the rest is known once it says that it is done.

    `size_bytes` may leave out what the engine appends.
    """

    name: str
    tokens: int = 0
    size_bytes: int = 0
    is_complete: bool = False


class PromptStore:
    """Its calls block on the disk and may come from any thread; those that read a whole file, from anyio's.

    `clock` is in seconds since the epoch.
    """

    def __init__(self, path: Path, limit_bytes: int, clock: Callable[[], float] = now_s) -> None:
        self._folder = PromptFolder(path)
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._lock = threading.RLock()
        self._index = Index()

    # --- what is there; these two wait for nothing ------------------------------------------------------

    @property
    def prompts(self) -> tuple[SavedPrompt, ...]:
        return self._index.prompts

    @property
    def limit_bytes(self) -> int:
        return self._limit_bytes

    def fitting(self, fit: Fit) -> list[SavedPrompt]:
        """The prompts that fit, the one that was used last first."""
        found = [one for one in self.prompts if one.key == fit.key]
        return sorted(found, key=lambda one: one.used_at, reverse=True)

    def is_useless(self, fit: Fit) -> bool:
        """Whether restored prompts of this kind were read again all the same."""
        return fit.key in self._index.useless_keys

    def is_intact(self, prompt: SavedPrompt) -> bool:
        """Whether its file is what it was when it was listed; anyio threads only."""
        path = self._folder.path / prompt.name
        try:
            return path.stat().st_size == prompt.size_bytes and hash_file(path) == prompt.sha256
        except OSError:
            return False

    # --- the folder -------------------------------------------------------------------------------------

    def open(self, *, keep: bool) -> None:
        """Take over what the service before this one kept, or remove it unless `keep`."""
        with self._lock:
            self._index = self._folder.load_index() if keep and self._limit_bytes else Index()
            sizes = self._folder.sizes()
            self._index = msgspec.structs.replace(
                self._index,
                prompts=tuple(one for one in self.prompts if sizes.get(one.name) == one.size_bytes),
            )
            self._sweep()
            self._trim()

    def close(self, *, keep: bool) -> None:
        """The service ends: remove everything unless `keep`."""
        with self._lock:
            if not keep:
                self._index = Index()
            self._sweep()

    def _sweep(self) -> None:
        names = [one.name for one in self.prompts]
        self._folder.remove_all_but([*names, INDEX] if self._index != Index() else [])

    def folder(self) -> Path | None:
        """The folder, made when it is not there; None while the limit is 0, and when it cannot be made."""
        if not self._limit_bytes:
            return None
        try:
            self._folder.create()
        except OSError as error:
            log.warning("Prompts are not saved: their folder cannot be created (%s)", error.strerror)
            return None
        return self._folder.path

    def free_bytes(self) -> int:
        """What is free on the disk of the folder. Raises OSError."""
        return self._folder.free_bytes()

    def set_limit(self, limit_bytes: int) -> None:
        """Keep no more bytes than this from now on; 0 removes everything."""
        with self._lock:
            was_bytes, self._limit_bytes = self._limit_bytes, limit_bytes
            if limit_bytes < was_bytes:
                self._trim()
            if not limit_bytes:
                self._index = Index()
                self._sweep()

    # --- changes ----------------------------------------------------------------------------------------

    def add(
        self, written: WrittenSlot, fit: Fit, model_id: str, useless: frozenset[str] = frozenset()
    ) -> None:
        """Check what an engine wrote and list it, in place of the prompts that it continues; anyio threads only.

        `useless` are names of prompts that were restored and then read again. If this one continues one of them, the
        restoring did not help, and no prompt of this kind is kept any more. Raises StateFileInvalid, OSError.
        """
        temporary = written.name + SAVING_SUFFIX
        path = self._folder.path / temporary
        try:
            if path.stat().st_size < written.size_bytes:
                raise StateFileInvalid("it is shorter than the engine said")
            tokens, sha256 = read_tokens(path), hash_file(path)
            with self._lock:
                self._require_room(path.stat().st_size)
                continued = [one for one in self.fitting(fit) if self._is_continued(one, tokens)]
                if any(one.name in useless for one in continued):
                    self._give_up(fit)
                    return
                self._folder.settle(temporary, written.name)
                self._list(written, fit, model_id, sha256, continued)
        finally:
            self._folder.remove(temporary)

    def _require_room(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise StateFileInvalid("it is larger than prompt_cache_mb allows for all saved prompts together")

    def _is_continued(self, prompt: SavedPrompt, tokens: array[int]) -> bool:
        try:
            before = read_tokens(self._folder.path / prompt.name)
        except (OSError, StateFileInvalid):
            return False
        return common_prefix_length(before, tokens) >= CONTINUED_SHARE * len(before)

    def _list(
        self, written: WrittenSlot, fit: Fit, model_id: str, sha256: str, continued: list[SavedPrompt]
    ) -> None:
        now = self._clock()
        prompt = SavedPrompt(
            name=written.name,
            key=fit.key,
            origin=fit.origin,
            model_id=model_id,
            tokens=written.tokens,
            size_bytes=(self._folder.path / written.name).stat().st_size,
            sha256=sha256,
            saved_at=now,
            used_at=now,
            hits=sum(one.hits for one in continued),
        )
        replaced = {one.name for one in continued}
        self._set([*(one for one in self.prompts if one.name not in replaced), prompt])
        self._trim()

    def _give_up(self, fit: Fit) -> None:
        log.info(
            "Restored prompts of this model do not help: the engine processes them again. They were removed"
        )
        useless = (*self._index.useless_keys, fit.key)[-MAX_USELESS_KEYS:]
        self._index = msgspec.structs.replace(self._index, useless_keys=useless)
        self._set(one for one in self.prompts if one.key != fit.key)

    def discard(self, names: Iterable[str]) -> None:
        """Remove what an engine wrote under these names, whole or not, if it was not listed."""
        for name in names:
            self._folder.remove(name + SAVING_SUFFIX)

    def drop(self, *prompts: SavedPrompt) -> None:
        """Remove these."""
        names = {one.name for one in prompts}
        if names:
            with self._lock:
                self._set(one for one in self.prompts if one.name not in names)

    def drop_foreign(self, model_id: str, fit: Fit) -> None:
        """Remove the prompts of this model that come from other files or from another build of the engine."""
        self.drop(*(one for one in self.prompts if one.model_id == model_id and one.origin != fit.origin))

    def clear(self, model_id: str | None = None) -> tuple[SavedPrompt, ...]:
        """Remove all prompts, or those of one model; what was removed."""
        with self._lock:
            found = tuple(one for one in self.prompts if model_id in (None, one.model_id))
            self.drop(*found)
            return found

    def count_hit(self, name: str) -> None:
        """The prompt saved reading it again."""
        with self._lock:
            self._set(
                msgspec.structs.replace(one, hits=one.hits + 1, used_at=self._clock())
                if one.name == name
                else one
                for one in self.prompts
            )

    def _trim(self) -> None:
        total_bytes = sum(one.size_bytes for one in self.prompts)
        leaving: list[SavedPrompt] = []
        for one in sorted(self.prompts, key=lambda one: one.used_at):
            if total_bytes <= self._limit_bytes:
                break
            leaving.append(one)
            total_bytes -= one.size_bytes
        self.drop(*leaving)

    def _set(self, prompts: Iterable[SavedPrompt]) -> None:
        """Replace the list, on disk too, and then remove the files that are no longer listed."""
        before, after = self.prompts, tuple(prompts)
        self._index = msgspec.structs.replace(self._index, prompts=after)
        if self._folder.path.is_dir():
            self._folder.save_index(self._index)
        names = {one.name for one in after}
        for one in before:
            if one.name not in names:
                self._folder.remove(one.name)
