"""How many replicas a model may have, as the setting `replicas` writes it: `2`, `"1-4"`, or those by model name.

Invariant: a range that was read has 1 <= least <= most <= MAX_REPLICAS.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field

from foundrylocal.wire.load_options import one_error

MAX_REPLICAS: Final = 64
_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


class ReplicaRange(NamedTuple):
    """At least and at most so many replicas of a model that is loaded."""

    least: int
    most: int


ONE = ReplicaRange(1, 1)


def read_range(value: int | str) -> ReplicaRange:
    """The range that one value stands for. Raises ValueError."""
    found = _RANGE.fullmatch(str(value).strip())
    if found is not None:
        least = int(found[1])
        most = int(found[2] or least)
        if 1 <= least <= most <= MAX_REPLICAS:
            return ReplicaRange(least, most)
    raise ValueError(
        f"'{str(value)[:80]}' is not a number of replicas: write a number from 1 to {MAX_REPLICAS}, or a range such "
        "as '1-4'"
    )


def range_of(setting: ReplicaCounts, names: Collection[str]) -> ReplicaRange:
    """The range of a model that goes by any of these names; one that is not named has one replica."""
    if not isinstance(setting, Mapping):
        return read_range(setting)
    known = {name.strip().casefold() for name in names}
    return next(
        (read_range(value) for name, value in setting.items() if name.strip().casefold() in known), ONE
    )


def _check(setting: int | str | dict[str, int | str]) -> int | str | dict[str, int | str]:
    for value in setting.values() if isinstance(setting, dict) else (setting,):
        read_range(value)
    return setting


_Names = Annotated[dict[str, int | str], Field(max_length=256)]
ReplicaCounts = Annotated[
    int | str | _Names,
    one_error(
        f"Input should be a number from 1 to {MAX_REPLICAS}, a range such as '1-4', or an object with one of these "
        "for each model name"
    ),
    AfterValidator(_check),
]
