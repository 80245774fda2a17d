"""The plan's seconds against what a load then takes, from the second load of a model on."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from benchmarks.processes import MODEL, fetch_model, service
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread

MAX_FACTOR = 2.0


def plan_figures(folder: Path, rounds: int) -> list[Figure]:
    """Plan, load and unload the starter model; the first load is measured by the service and not counted."""
    home = folder / "plan-home"
    fetch_model(home)
    with service(home) as running:
        body = {"model_name": MODEL}

        def measure(number: int) -> tuple[float, float]:
            planned_s = float(running.call("POST", "/plan", body)["seconds"]["load"] or 0.0)
            began = time.perf_counter()
            running.call("POST", f"/models/{MODEL}/load")
            took_s = time.perf_counter() - began
            running.call("POST", f"/models/{MODEL}/unload")
            return planned_s, took_s

        measure(-1)
        planned, took = (list(values) for values in zip(*gather(rounds, measure), strict=True))
    factors = [
        max(plan, took_s) / max(1e-3, min(plan, took_s)) for plan, took_s in zip(planned, took, strict=True)
    ]
    return [
        Figure(
            "planned seconds of a load",
            spread(planned, 2),
            f"it took {spread(took, 2)}",
            f"{median(factors):.2f}",
            f"within a factor of {MAX_FACTOR:g}",
            max(factors) <= MAX_FACTOR,
        )
    ]
