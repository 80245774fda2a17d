"""Whatever a model, a file or the hub is called or says: nothing outside the cache folder is written or removed."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fakes.gguf_corpus import gguf
from fakes.hub import FakeHub
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import HubSource, Model, Registry, SourceFile
from foundrylocal.downloads.manager import DownloadManager
from foundrylocal.downloads.sources.hugging_face import HuggingFaceFetcher
from foundrylocal.errors import FoundryLocalError

from .conftest import fake_hub_hosts

TINY = gguf()
PIECES = [
    "..",
    ".",
    "a",
    "model.gguf",
    "C:",
    "NUL",
    "~",
    "-x",
    " ",
    "é",
    "x" * 300,
    "\\",
    "%2e%2e",
    "a\nb",
    "",
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), min_size=1, max_size=5).map("/".join)


def _outside(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in root.rglob("*")
        if "cache" not in path.relative_to(root).parts[:1] and "state" not in path.relative_to(root).parts[:1]
    }


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(model_id=HOSTILE, path=HOSTILE, answer=st.sampled_from([TINY, b"", b"GGUF", TINY[:-1], TINY + b"x"]))
@example(model_id="../../sentinel", path="../../../sentinel", answer=TINY)
@example(model_id="me/model", path="/etc/sentinel.gguf", answer=TINY)
def test_random_names_paths_and_answers_stay_in_the_cache_folder(
    model_id: str, path: str, answer: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder, FakeHub() as hub, pytest.MonkeyPatch.context() as patch:
        for name, value in hub.environment.items():
            patch.setenv(name, value)
        root = Path(folder)
        (root / "sentinel").write_bytes(b"do not touch")
        before = _outside(root)
        anyio.run(_walk, root, hub, model_id, path, answer)
        assert _outside(root) == before


async def _walk(root: Path, hub: FakeHub, model_id: str, path: str, answer: bytes) -> None:
    hub.add("me/repo", path, answer)
    file = SourceFile(path, len(TINY), hashlib.sha256(TINY).hexdigest())
    source = HubSource("me/repo", "a" * 40, (file,))
    model = Model(model_id, model_id, None, None, None, None, None, (), (source,))
    library = Library(root / "cache")
    fetchers = {
        HubSource: HuggingFaceFetcher(
            allowed_hosts=fake_hub_hosts, stall_s=2.0, first_delay_s=0.01, max_fruitless_attempts=1
        )
    }
    manager = DownloadManager(Registry([model]), library, state_dir=root / "state", fetchers=fetchers)
    async with anyio.create_task_group() as group:
        await group.start(manager.run)
        for act in (lambda: manager.fetch(model).result(), lambda: manager.delete(model)):
            try:
                await act()
            except (FoundryLocalError, ValueError):
                continue
        group.cancel_scope.cancel()
