"""A library of the system that an engine needs and does not find: its name, and how to install it."""

from __future__ import annotations

import re
from typing import Final

PATTERN: Final = re.compile(
    r"(?P<library>lib[\w+.-]{1,80}\.so[\d.]{0,20}): cannot open shared object file"
)  # the words of glibc's loader
# What distributions call the packages: Debian and Ubuntu, then Fedora and the like.
_PACKAGES: Final = {"libgomp.so.1": ("libgomp1", "libgomp"), "libstdc++.so.6": ("libstdc++6", "libstdc++")}


def how_to_install(text: str) -> str | None:
    """What to do about the library that the loader's message names; None if it names none."""
    found = PATTERN.search(text)
    if found is None:
        return None
    packages = _PACKAGES.get(found["library"])
    if packages is None:
        return f"Install the package of your distribution that has {found['library']}."
    debian, fedora = packages
    return f"Install {found['library']}: apt-get install {debian}, or dnf install {fedora}."
