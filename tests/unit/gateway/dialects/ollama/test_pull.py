from __future__ import annotations

from ollama import ProgressResponse

from foundrylocal.catalog.registry import HubSource, Model, SourceFile
from foundrylocal.events import Measure, Progress
from foundrylocal.gateway.dialects.ollama.library.pull import VERIFYING, PullLines

DIGEST = "ab" * 32


def model(*files: SourceFile) -> Model:
    return Model("o/m", "m", None, None, None, None, None, (), (HubSource("o/m", None, files),))


def progress(stage: str, done: int, total: int = 300) -> Progress:
    return Progress("...", Measure(stage, downloaded_bytes=done, total_bytes=total))


def test_each_file_is_a_layer_with_its_digest() -> None:
    pulled = PullLines(model(SourceFile("a.gguf", 100, DIGEST), SourceFile("sub/b.gguf", 200, None)))
    assert list(pulled.lines(Progress("Starting download: m"))) == []
    assert list(pulled.lines(progress("queued", 0))) == []
    (first,) = pulled.lines(progress("downloading", 0))
    assert first == {"status": f"pulling {DIGEST[:12]}", "digest": f"sha256:{DIGEST}", "total": 100}
    both = list(pulled.lines(progress("downloading", 150)))
    assert [(one["total"], one["completed"]) for one in both] == [(100, 100), (200, 50)]
    assert both[1]["status"] == "pulling b.gguf" and "digest" not in both[1]
    end = list(pulled.lines(progress("verifying", 300)))
    assert [one.get("completed") for one in end] == [100, 200, None] and end[-1] == VERIFYING
    assert list(pulled.lines(progress("verifying", 300))) == []
    for line in (first, *both, *end):
        ProgressResponse.model_validate(line)


def test_what_a_source_transfers_may_have_another_size_than_the_model() -> None:
    pulled = PullLines(model(SourceFile("a.gguf", 100, DIGEST)))
    (line,) = pulled.lines(progress("downloading", 25, 50))
    assert line["completed"] == 50
