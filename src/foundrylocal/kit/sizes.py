"""Sizes as the published document writes them: divided by 1024, one decimal."""

from __future__ import annotations


def format_bytes(count: int) -> str:
    """`500.0 MB`; bytes are whole (`512.0 B` keeps the one decimal of the rest)."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        # Rounded before the comparison, so that 1023.96 KB is written 1.0 MB and not 1024.0 KB.
        if round(value, 1) < 1024:
            return f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"
