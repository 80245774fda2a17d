"""/api/pull: our download as Ollama's layers, each file with its digest and how much of it is here.

A client that disconnects takes its request back: the download ends unless somebody else wants it, and what has
arrived is kept for the next attempt.
"""

from __future__ import annotations

from collections.abc import Iterator

from foundrylocal.catalog.registry import Model, SourceFile
from foundrylocal.events import Measure, Progress
from foundrylocal.gateway.dialects.body import Json

_SHORT_DIGEST_CHARS = 12
VERIFYING = {"status": "verifying sha256 digest"}
ENDING = ({"status": "writing manifest"}, {"status": "success"})
BEGINNING = {"status": "pulling manifest"}


class PullLines:
    """Turns the progress of one download into lines; a layer's numbers never decrease."""

    def __init__(self, model: Model) -> None:
        self._layers = [file for file in model.sources[0].files if file.size_bytes]
        self._is_verifying = False

    def lines(self, progress: Progress) -> Iterator[Json]:
        """The lines for one line of the download."""
        measure = progress.measure
        if measure is None or self._is_verifying:
            return
        if measure.stage == "verifying":
            self._is_verifying = True
        if measure.stage in ("downloading", "verifying"):
            yield from self._layer_lines(_share(measure))
        if self._is_verifying:
            yield VERIFYING

    def _layer_lines(self, share: float) -> Iterator[Json]:
        """The layers up to the one that is under way: files come one after the other."""
        left = share * sum(file.size_bytes or 0 for file in self._layers)
        for layer in self._layers:
            size = layer.size_bytes or 0
            completed = min(size, round(left))
            yield _layer_line(layer, size, completed)
            if completed < size:
                return
            left -= size


def _share(measure: Measure) -> float:
    if not measure.total_bytes:
        return 0.0
    return min(1.0, (measure.downloaded_bytes or 0) / measure.total_bytes)


def _layer_line(layer: SourceFile, total: int, completed: int) -> Json:
    if layer.sha256 is None:
        name = layer.path.rpartition("/")[2]
        return {"status": f"pulling {name}", "total": total, "completed": completed}
    line: Json = {
        "status": f"pulling {layer.sha256[:_SHORT_DIGEST_CHARS]}",
        "digest": f"sha256:{layer.sha256}",
        "total": total,
    }
    return line | {"completed": completed} if completed else line
