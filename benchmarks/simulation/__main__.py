"""`python -m benchmarks.simulation`: every figure of docs/explanation/cluster.md that comes from a simulation."""

from __future__ import annotations

import time

from benchmarks.simulation import gateway, scaling
from benchmarks.simulation.events import Result, Simulation
from benchmarks.simulation.layout import Layout, all_known, cells, shared
from benchmarks.simulation.policies import POLICIES
from benchmarks.simulation.shape import MODELS, NODES, REQUESTS_PER_SECOND, SLOTS, TOKENS, spread_nodes

GATEWAYS = 64
LOST_NODES = 20
CHUNKS_US = (33, 45, 56)


def main() -> None:
    began = time.monotonic()
    models_of = [model for model, count in enumerate(spread_nodes()) for _ in range(count)]
    print(
        f"{NODES} nodes, {SLOTS} slots each, {MODELS} models, {REQUESTS_PER_SECOND:g} requests/s of {TOKENS} tokens\n"
    )
    _gateways()
    _balancing(models_of)
    _loss(models_of)
    _scaling()
    print(f"\nIt took {time.monotonic() - began:.0f} s.")


def _gateways() -> None:
    print("One gateway core")
    for chunk_us in CHUNKS_US:
        found = gateway.knee(chunk_us / 1e6)
        beyond = gateway.load(found.requests_per_second + 20, chunk_us / 1e6)
        print(f"  {chunk_us} us a chunk: {_core(found)}; {_core(beyond)}")


def _core(load: gateway.Load) -> str:
    wait_ms = load.wait_p99_s * 1000
    return (
        f"{load.requests_per_second:g} requests/s, {load.busy:.0%} busy, a chunk waits {wait_ms:.0f} ms (p99)"
    )


def _balancing(models_of: list[int]) -> None:
    layouts: dict[str, Layout] = {
        "one that knows all": all_known(models_of),
        f"{GATEWAYS} gateways, all share all": shared(models_of, GATEWAYS),
        f"{GATEWAYS} cells": cells(models_of, GATEWAYS),
    }
    for title, layout in layouts.items():
        print(f"\n{title}")
        for name, policy in POLICIES.items():
            result = Simulation(layout, policy).run()
            print(f"  {name}: {_describe(result)}, busiest gateway {result.busiest_gateway:.0f} requests/s")


def _describe(result: Result) -> str:
    return (
        f"p99 wait {result.wait_p99_s:.2f} s, prompts still there {result.hit_share:.0%}, sent beyond slots "
        f"{result.beyond_slots / max(1, result.arrived):.1%}"
    )


def _loss(models_of: list[int]) -> None:
    result = Simulation(cells(models_of, GATEWAYS), POLICIES["prefix"], lost=LOST_NODES).run()
    print(f"\n{LOST_NODES} nodes lost at once, {GATEWAYS} cells, prefix")
    print(f"  of {result.arrived} requests {result.begun_lost} were lost after their first byte,")
    print(f"  {result.repeated} were sent again; {_describe(result)}")


def _scaling() -> None:
    print("\nAutoscaling from one replica a model, after 60 s")
    for start_s in (5.0, 20.0):
        for name, rule in (("by rate", scaling.by_rate), ("by queue", scaling.by_queue)):
            found = scaling.scale(rule, start_s)
            print(
                f"  {name}, loads of {start_s:g} s: {found.most:,.0f} wait at the worst, {found.end:,.0f} at the end "
                f"({found.growth_per_second:+,.0f}/s)"
            )


if __name__ == "__main__":
    main()
