"""Reports modules over 300 lines and functions over 40; fails on modules over 400 and functions over 60."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

MODULE_AIM, MODULE_MAX = 300, 400
FUNCTION_AIM, FUNCTION_MAX = 40, 60


def main() -> int:
    is_over = False
    for path in sorted(Path("src").rglob("*.py")):
        text = path.read_text("utf-8")
        lines = text.count("\n")
        if lines > MODULE_AIM:
            print(f"{path}: {lines} lines")
            is_over |= lines > MODULE_MAX
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_AIM:
                    print(f"{path}:{node.lineno}: {node.name} has {length} lines")
                    is_over |= length > FUNCTION_MAX
    print(f"size: aims are {MODULE_AIM} and {FUNCTION_AIM} lines, limits {MODULE_MAX} and {FUNCTION_MAX}")
    return int(is_over)


if __name__ == "__main__":
    sys.exit(main())
