"""Verifications: one of a model at a time, few at once, and whoever asks meanwhile joins."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from pathlib import Path

import anyio
import pytest

from fakes.gguf_corpus import write_gguf
from foundrylocal.catalog.library import Library, StagedFile
from foundrylocal.catalog.registry import HubSource, Model, SourceFile
from foundrylocal.downloads.verification import Verdict, Verifier
from foundrylocal.errors import ModelNotOnDisk


class _SlowLibrary(Library):
    """A library on a disk that answers when the test says so."""

    def __init__(self, cache_dir: Path) -> None:
        super().__init__(cache_dir)
        self.may_go_on = threading.Event()
        self.reads: list[str] = []

    def recorded(self, model_id: str):  # type: ignore[no-untyped-def]
        self.reads.append(model_id)
        assert self.may_go_on.wait(30)
        return super().recorded(model_id)


def _model(name: str) -> Model:
    source = HubSource("me/it", None, (SourceFile("m.gguf", 1, None),))
    return Model(f"me/{name}", name, None, None, None, None, None, (), (source,))


def _store(library: Library, model: Model) -> None:
    place = library.place(model.model_id)
    place.partial.mkdir(parents=True)
    file = write_gguf(place.partial / "m.gguf")
    library.commit(model, place, [StagedFile(file, hashlib.sha256(file.read_bytes()).hexdigest())])


def test_row_30_callers_of_one_model_share_one_reading(tmp_path: Path) -> None:
    library = _SlowLibrary(tmp_path)
    model, other = _model("m"), _model("n")
    for one in (model, other):
        library.may_go_on.set()
        _store(library, one)
    library.may_go_on.clear()
    library.reads.clear()
    verdicts: list[Verdict] = []

    async def verify(verifier: Verifier, one: Model) -> None:
        verdicts.append(await verifier.verify(one))

    async def main() -> None:
        verifier = Verifier(library)
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(verify, verifier, model)
                tasks.start_soon(verify, verifier, other)
            await anyio.wait_all_tasks_blocked()
            library.may_go_on.set()
        assert sorted(library.reads) == [model.model_id, other.model_id]
        assert len(verdicts) == 60
        assert all(verdict.is_sound for verdict in verdicts)
        assert (await verifier.verify(model)).is_sound
        assert len(library.reads) == 3

    anyio.run(main)


def test_who_joined_goes_on_when_the_first_caller_is_cancelled_or_fails(tmp_path: Path) -> None:
    library = _SlowLibrary(tmp_path)
    model = _model("m")

    async def main() -> None:
        verifier = Verifier(library)
        ended: list[str] = []

        async def verify() -> None:
            with pytest.raises(ModelNotOnDisk):
                await verifier.verify(model)
            ended.append("not on disk")

        async with anyio.create_task_group() as tasks:
            first = anyio.CancelScope()

            async def cancelled() -> None:
                with first, contextlib.suppress(ModelNotOnDisk):
                    await verifier.verify(model)

            tasks.start_soon(cancelled)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(verify)
            tasks.start_soon(verify)
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            library.may_go_on.set()
        assert ended == ["not on disk"] * 2

    anyio.run(main)
