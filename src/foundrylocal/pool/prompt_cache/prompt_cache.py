"""The prompt cache: prompts of replicas that leave are saved, and restored when their model is loaded again.

The facade of this folder: saving and restoring ask the engine, the store owns the files. A crash saves nothing; what
was saved before it is still there. Invariant: nothing here fails or delays a load or an unload beyond its bound.
"""

from __future__ import annotations

import logging
import weakref

import anyio
import anyio.abc

from foundrylocal.engine.replica import Address
from foundrylocal.engine.slot_files import SlotEngine
from foundrylocal.kit.changes import Changes
from foundrylocal.kit.contain import contain
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.pool.prompt_cache.restoring import DISK_LANE, RESTORE_TIMEOUT_S, Restored, Restoring
from foundrylocal.pool.prompt_cache.saved_prompt import Fit, SavedPrompt, fit_of
from foundrylocal.pool.prompt_cache.saving import Saving
from foundrylocal.pool.prompt_cache.state_file import StateFileInvalid
from foundrylocal.pool.prompt_cache.store import PromptStore, WrittenSlot
from foundrylocal.pool.roster import Replica, State
from foundrylocal.settings.schema import Settings
from foundrylocal.settings.store import SettingsStore

log = logging.getLogger("foundrylocal.FoundryLocalService")

# Checking and syncing what was written, after the worker has ended; the service waits no longer for it at its end.
LISTING_TIMEOUT_S = 3.0


def limit_bytes(settings: Settings) -> int:
    """How much all saved prompts may take together."""
    return settings.prompt_cache_mb * 1024 * 1024


class _Save:
    """One replica's save: what was written, and whether that is over."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.written: list[WrittenSlot] = []
        self.is_done = anyio.Event()


class PromptCache:
    """`run` must be running."""

    def __init__(self, store: PromptStore, engine: SlotEngine, settings: SettingsStore) -> None:
        self._store = store
        self._settings = settings
        self._saving = Saving(store, engine)
        self._restoring = Restoring(store, engine)
        self._tasks = TaskHost(log)
        self._saves: weakref.WeakKeyDictionary[Replica, _Save] = weakref.WeakKeyDictionary()
        self._restored: weakref.WeakKeyDictionary[Replica, Restored] = weakref.WeakKeyDictionary()
        self._being_listed = 0
        self._listed = Changes()
        self._is_ending = False
        settings.on_change(lambda changed: store.set_limit(limit_bytes(changed)))

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Own the folder until cancelled; then it is emptied, unless the prompts are to be kept."""
        await DISK_LANE.run(lambda: self._store.open(keep=self._is_kept))
        async with self._tasks.open():
            try:
                task_status.started()
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await self._all_listed(LISTING_TIMEOUT_S)
                    await DISK_LANE.run(lambda: self._store.close(keep=self._is_kept))

    @property
    def _is_kept(self) -> bool:
        return self._settings.current.prompt_cache_keep

    def service_ends(self) -> None:
        """From now on nothing is saved that would be removed at once."""
        self._is_ending = True

    # --- a replica leaves -------------------------------------------------------------------------------

    async def save(self, replica: Replica) -> None:
        """Have its engine write its prompts, in SAVE_TIMEOUT_S at most. Callers at the same time share one save."""
        if (save := self._saves.get(replica)) is not None:
            await save.is_done.wait()
            return
        fit = self._fit_to_save(replica)
        if fit is None:
            return
        save = self._saves[replica] = _Save(fit)
        try:
            await self._write(replica, save, is_idle=replica.in_flight == 0)
        finally:
            save.is_done.set()

    async def _write(self, replica: Replica, save: _Save, *, is_idle: bool) -> None:
        await contain(log, self._saving.save, replica.spec, replica.address, save.fit, save.written, is_idle)

    def _fit_to_save(self, replica: Replica) -> Fit | None:
        is_off = not self._store.limit_bytes or (self._is_ending and not self._is_kept)
        if is_off or replica.is_gone or replica.address.slot_folder is None:
            return None
        fit = fit_of(replica.spec, replica.address.build)
        return None if fit is None or self._store.is_useless(fit) else fit

    def worker_ended(self, replica: Replica) -> None:
        """Check and list in the background what its engine wrote."""
        save = self._saves.pop(replica, None)
        restored = self._restored.pop(replica, Restored())
        if save is not None:
            self._begin_listing(replica, save, frozenset(restored.missed))

    def _begin_listing(self, replica: Replica, save: _Save, missed: frozenset[str] = frozenset()) -> None:
        if save.written and self._tasks.is_open:
            self._being_listed += 1
            self._tasks.spawn(self._list, replica, save, missed)

    async def _list(self, replica: Replica, save: _Save, missed: frozenset[str]) -> None:
        try:
            for written in save.written:
                if written.is_complete:
                    await DISK_LANE.run(self._add, replica, written, save.fit, missed)
        finally:
            with anyio.CancelScope(shield=True):
                await DISK_LANE.run(self._store.discard, [written.name for written in save.written])
            self._being_listed -= 1
            self._listed.notify()

    def _add(self, replica: Replica, written: WrittenSlot, fit: Fit, missed: frozenset[str]) -> None:
        try:
            self._store.add(written, fit, replica.model.model_id, missed)
        except (OSError, StateFileInvalid) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            log.warning("A prompt of %s was not saved: %s", replica.model.simple_name, reason)

    async def _all_listed(self, limit_s: float) -> None:
        with anyio.move_on_after(limit_s):
            await self._listed.wait_until(lambda: self._being_listed == 0)

    # --- a replica is ready -----------------------------------------------------------------------------

    async def restore(self, replica: Replica, address: Address, *, replaces_others: bool = True) -> None:
        """Give a new replica the prompts that fit it, those of replicas that it replaces too; failures are logged.

        It takes RESTORE_TIMEOUT_S at most, and SAVE_TIMEOUT_S before that when there is a replica to replace.
        """
        fit = fit_of(replica.spec, address.build)
        if fit is None or address.slot_folder is None or not self._store.limit_bytes:
            return
        for other in replica.entry.of(State.READY) if replaces_others else ():
            if self._fit_to_save(other) == fit:
                save = _Save(fit)
                await self._write(other, save, is_idle=False)
                self._begin_listing(other, save)
        restored, name = Restored(), replica.model.simple_name
        with anyio.move_on_after(RESTORE_TIMEOUT_S) as limit:
            await self._listed.wait_until(lambda: self._being_listed == 0)
            if self._store.prompts:
                await contain(log, self._restoring.restore, replica.spec, address, fit, restored)
        if limit.cancelled_caught:
            log.warning(
                "Not all prompts of %s were restored: that took more than %g s", name, RESTORE_TIMEOUT_S
            )
        if restored.unproven:
            self._restored[replica] = restored
            tokens = sum(prompt.tokens for prompt in restored.unproven.values())
            log.info("Saved prompts of %s restored: %d, %d tokens", name, len(restored.unproven), tokens)

    def note_reuse(self, replica: Replica, tokens_in: int | None, tokens_cached: int | None) -> None:
        """An answer is complete: see in the background whether it was the first of a restored slot, and helped."""
        restored = self._restored.get(replica)
        if restored is None or not restored.unproven or tokens_in is None:
            return
        if not replica.is_gone and self._tasks.is_open:
            address, cached = replica.address, tokens_cached or 0
            self._tasks.spawn(self._restoring.prove, address, restored, tokens_in, cached)

    # --- what users ask ---------------------------------------------------------------------------------

    def prompts(self) -> tuple[SavedPrompt, ...]:
        """The saved prompts."""
        return self._store.prompts

    @property
    def limit_bytes(self) -> int:
        """What all of them may take together; 0 when the cache is off."""
        return self._store.limit_bytes

    async def clear(self, model_id: str | None = None) -> tuple[SavedPrompt, ...]:
        """Remove all prompts, or those of one model; what was removed."""
        await self._all_listed(LISTING_TIMEOUT_S)
        return await DISK_LANE.run(self._store.clear, model_id)
