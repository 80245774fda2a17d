"""The benchmark report: one line per figure, with its target and whether it is met."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured figure; `is_ok` is None if there is no target."""

    name: str
    value: str
    compared: str = ""
    ratio: str = ""
    target: str = ""
    is_ok: bool | None = None

    @property
    def verdict(self) -> str:
        return "" if self.is_ok is None else "ok" if self.is_ok else "MISSED"


TITLES = ("figure", "FoundryLocal", "compared with", "ratio", "target", "")


def show(figures: list[Figure]) -> None:
    rows = [(f.name, f.value, f.compared, f.ratio, f.target, f.verdict) for f in figures]
    widths = [max(len(row[column]) for row in [TITLES, *rows]) for column in range(len(TITLES))]
    for row in [TITLES, tuple("-" * width for width in widths), *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    missed = [figure.name for figure in figures if figure.is_ok is False]
    print(f"\n{'Missed: ' + '; '.join(missed) if missed else 'Every target is met.'}")


def spread(values: list[float], digits: int) -> str:
    """The median, with minimum and maximum."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
