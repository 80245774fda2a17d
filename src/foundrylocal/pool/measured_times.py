"""How long loads and downloads took on this machine, and what that says about the next ones.

The only owner of these measurements; they survive a restart in one small file in the state folder. Invariants: at
most MAX_LOADS kinds of load and MAX_SAMPLES samples of each are kept; a file that cannot be read or written costs
only the measurements.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Literal

import anyio
import anyio.abc
import msgspec

from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically
from foundrylocal.kit.changes import Changes

log = logging.getLogger("foundrylocal.FoundryLocalService")

FILE_NAME: Final = "measured-times.json"
MAX_LOADS: Final = 200
MAX_SAMPLES: Final = 5
MAX_FILE_BYTES: Final = 1024 * 1024
SAVE_DELAY_S: Final = 1.0
MIN_TRANSFER_BYTES: Final = 1024 * 1024  # less says more about the connection's start than about its speed

# Without any measurement: a worker's start, files from an ordinary disk, and memory that is cleared for the context.
START_S: Final = 1.0
FILE_BYTES_PER_S: Final = 400e6
MEMORY_BYTES_PER_S: Final = 2e9
TRANSFER_BYTES_PER_S: Final = 10e6

Basis = Literal["measured", "estimated"]


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds, and whether they were measured on this machine or only estimated."""

    seconds: float
    basis: Basis


NO_TIME: Final = Duration(0.0, "measured")


class LoadRecord(msgspec.Struct):
    """The latest loads of one model with the same options."""

    model_id: str
    options: str
    file_bytes: int
    memory_bytes: int
    seconds: list[float]


class _Saved(msgspec.Struct):
    loads: list[LoadRecord] = []
    transfer_bytes_per_s: list[float] = []


class MeasuredTimes:
    """Notes what was measured and answers with it; `run` saves."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loads: dict[tuple[str, str], LoadRecord] = {}
        self._transfers: list[float] = []
        self._changes = Changes()
        self._is_saved = True

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read what earlier runs measured, then save changes until cancelled, and once more at the end."""
        self._take(await anyio.to_thread.run_sync(self._read))
        task_status.started()
        try:
            while True:
                await self._changes.wait_until(lambda: not self._is_saved)
                await anyio.sleep(SAVE_DELAY_S)
                await self._save()
        finally:
            if not self._is_saved:
                with anyio.CancelScope(shield=True):
                    await self._save()

    # --- what was measured ------------------------------------------------------------------------------

    def note_load(self, spec: ReplicaSpec, seconds: float) -> None:
        """A load with this specification took so long, from the start of its worker to its first answer."""
        key = _key(spec)
        before = self._loads.pop(key, None)
        samples = [*(before.seconds if before else []), round(seconds, 3)][-MAX_SAMPLES:]
        self._loads[key] = LoadRecord(*key, spec.file_bytes, spec.memory_bytes, samples)
        while len(self._loads) > MAX_LOADS:
            del self._loads[next(iter(self._loads))]
        self._note_change()

    def note_transfer(self, received_bytes: int, seconds: float) -> None:
        """A download received so many bytes from the network in that time."""
        if received_bytes >= MIN_TRANSFER_BYTES and seconds > 0:
            self._transfers = [*self._transfers, received_bytes / seconds][-MAX_SAMPLES:]
            self._note_change()

    def _note_change(self) -> None:
        self._is_saved = False
        self._changes.notify()

    # --- what it says -----------------------------------------------------------------------------------

    def load(self, spec: ReplicaSpec) -> Duration:
        """How long a load with this specification will take.

        Measured when the same model was loaded with the same options; otherwise estimated by its loads with other
        options, or else by the loads of other models.
        """
        if (exact := self._loads.get(_key(spec))) is not None:
            return Duration(median(exact.seconds), "measured")
        own = [record for record in self._loads.values() if record.model_id == spec.model_id]
        if own:
            last = own[-1]
            more_bytes = max(0, spec.memory_bytes - last.memory_bytes)
            return Duration(median(last.seconds) + more_bytes / MEMORY_BYTES_PER_S, "estimated")
        return self._by_size(spec.file_bytes, max(0, spec.memory_bytes - spec.file_bytes))

    def load_of_size(self, file_bytes: int) -> Duration:
        """How long a model of that size will take to load, when nothing else is known of it."""
        return self._by_size(file_bytes, 0)

    def _by_size(self, file_bytes: int, other_bytes: int) -> Duration:
        rate = _file_bytes_per_s(self._loads.values())
        return Duration(START_S + file_bytes / rate + other_bytes / MEMORY_BYTES_PER_S, "estimated")

    def download(self, needed_bytes: int) -> Duration:
        """How long a download of so many bytes will take, by the speed of the last ones."""
        if self._transfers:
            return Duration(needed_bytes / median(self._transfers), "measured")
        return Duration(needed_bytes / TRANSFER_BYTES_PER_S, "estimated")

    # --- the file ---------------------------------------------------------------------------------------

    def _take(self, saved: _Saved) -> None:
        noted = self._loads
        self._loads = {(one.model_id, one.options): one for one in saved.loads[-MAX_LOADS:] if one.seconds}
        self._loads.update(noted)
        self._transfers = [*saved.transfer_bytes_per_s, *self._transfers][-MAX_SAMPLES:]

    def _read(self) -> _Saved:
        sweep_leftovers(self._path)
        try:
            with self._path.open("rb") as file:
                saved = msgspec.json.decode(file.read(MAX_FILE_BYTES), type=_Saved)
        except FileNotFoundError:
            return _Saved()
        except (OSError, msgspec.MsgspecError):
            log.warning("The measured times could not be read; they are ignored.")
            return _Saved()
        positive = [speed for speed in saved.transfer_bytes_per_s if speed > 0]
        return _Saved(saved.loads, positive)

    async def _save(self) -> None:
        self._is_saved = True
        data = msgspec.json.encode(_Saved(list(self._loads.values()), self._transfers))
        try:
            await anyio.to_thread.run_sync(lambda: write_atomically(self._path, data, mode=0o600))
        except OSError as error:
            log.warning("The measured times could not be saved: %s", error.strerror)


def _key(spec: ReplicaSpec) -> tuple[str, str]:
    return spec.model_id, spec.options.model_dump_json()


def _file_bytes_per_s(records: Iterable[LoadRecord]) -> float:
    """The speed at which files were loaded, by all models that were; a default when there were none."""
    speeds = []
    for record in records:
        cleared_s = max(0, record.memory_bytes - record.file_bytes) / MEMORY_BYTES_PER_S
        reading_s = median(record.seconds) - START_S - cleared_s
        # Small models load in less than the assumed start: they say nothing of the disk.
        if reading_s > 0:
            speeds.append(record.file_bytes / reading_s)
    return median(speeds) if speeds and median(speeds) > 0 else FILE_BYTES_PER_S
