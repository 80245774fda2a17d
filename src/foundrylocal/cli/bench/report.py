"""The figures as rows of a table: one column a model, each beside its last run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Json = dict[str, Any]
_CHANGE_SHOWN_PERCENT = 1.0


def rows(figures: Sequence[Json], previous: Sequence[Json | None]) -> list[tuple[str, ...]]:
    """One row a figure; a change to the last run stands behind the value."""
    shown: list[tuple[str, Callable[[Json], float | None]]] = [
        ("prompt tokens/s", lambda one: one.get("prefill_tokens_per_second")),
        ("answer tokens/s", lambda one: one.get("decode_tokens_per_second")),
    ]
    for clients in [one["clients"] for one in figures[0]["by_clients"]]:
        who = "1 client" if clients == 1 else f"{clients} clients"
        shown += [
            (f"first token ms, {who}", _of_clients(clients, "first_token_ms")),
            (f"slowest first token ms, {who}", _of_clients(clients, "slowest_first_token_ms")),
            (f"tokens/s, {who}", _of_clients(clients, "tokens_per_second")),
        ]
    return [
        (
            name,
            *(
                _cell(value(now), value(before) if before else None)
                for now, before in zip(figures, previous, strict=True)
            ),
        )
        for name, value in shown
    ]


def _of_clients(clients: int, name: str) -> Callable[[Json], float | None]:
    def value(figures: Json) -> float | None:
        found = (one for one in figures.get("by_clients", ()) if one.get("clients") == clients)
        return next((one.get(name) for one in found), None)

    return value


def _cell(value: float | None, before: float | None) -> str:
    if value is None:
        return "-"
    text = f"{value:.1f}" if value < 1000 else f"{value:.0f}"
    if not before:
        return text
    percent = (value / before - 1) * 100
    return f"{text} ({percent:+.0f} %)" if abs(percent) >= _CHANGE_SHOWN_PERCENT else f"{text} (=)"
