"""Module and function sizes: lists what is over its target, prints the distribution, and fails over a limit."""

from __future__ import annotations

import ast
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

MODULE_TARGET, MAX_MODULE, MEDIAN_MODULE_LIMIT = 300, 400, 130
FUNCTION_TARGET, MAX_FUNCTION, P90_FUNCTION_LIMIT, P99_FUNCTION_LIMIT = 40, 60, 30, 50


def functions_of(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, first line and length in lines of each function, methods included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


def percentile(lengths: Sequence[int], share: float) -> int:
    """The smallest length that at least this share of all lengths does not exceed."""
    return sorted(lengths)[max(0, math.ceil(share * len(lengths)) - 1)]


def main(root: Path = Path("src")) -> int:
    modules: list[int] = []
    functions: list[int] = []
    for path in sorted(root.rglob("*.py")):
        text = path.read_text("utf-8")
        lines = text.count("\n")
        if not lines:
            continue  # a package without a module of its own
        modules.append(lines)
        if lines > MODULE_TARGET:
            print(f"{path}: {lines} lines")
        for name, line, length in functions_of(text):
            functions.append(length)
            if length > FUNCTION_TARGET:
                print(f"{path}:{line}: {name} has {length} lines")
    checks = (
        ("longest module", max(modules), MAX_MODULE + 1),
        ("median module", round(statistics.median(modules)), MEDIAN_MODULE_LIMIT),
        ("longest function", max(functions), MAX_FUNCTION + 1),
        ("function p90", percentile(functions, 0.9), P90_FUNCTION_LIMIT),
        ("function p99", percentile(functions, 0.99), P99_FUNCTION_LIMIT),
    )
    for name, value, limit in checks:
        print(f"{name}: {value} lines, must be under {limit}{'' if value < limit else '  <-- too long'}")
    return int(any(value >= limit for _, value, limit in checks))


if __name__ == "__main__":
    sys.exit(main())
