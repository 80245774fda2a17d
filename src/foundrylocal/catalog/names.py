"""Names of models and files: how they compare and where they may live on disk.

Invariant: what comes out of `folder_parts` and `safe_file_name` is one plain path component that every
system accepts, and two different models never get the same folder.
"""

from __future__ import annotations

import hashlib
import re

MAX_NAME_CHARS = 256
MAX_COMPONENT_CHARS = 100

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._+-]+")
_SPLIT_OR_GGUF = re.compile(r"(?P<stem>.+?)(?P<tail>(?:-[0-9]{5}-of-[0-9]{5})?\.gguf)", re.DOTALL)
# Windows takes these for devices whatever the extension, and drops trailing dots and spaces.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_NO_ORGANISATION = "local"


def key(name: str) -> str:
    """The form under which a name is looked up: case and outer blanks do not count."""
    return name.strip().casefold()


def simple_name(model_id: str) -> str:
    """The part of a model id after its organisation."""
    return model_id.rpartition("/")[2]


def folder_parts(model_id: str) -> tuple[str, str]:
    """The two folder names, organisation and model, under which a model's files live."""
    organisation, _, name = model_id.rpartition("/")
    return safe_component(organisation or _NO_ORGANISATION), safe_component(name)


def safe_component(text: str) -> str:
    """`text` itself when it is a plain name everywhere, else its plain part and a digest of the whole.

    The digest keeps names apart that differ only in what was left out. It ignores case as lookups do.
    """
    if len(text) <= MAX_COMPONENT_CHARS and _PLAIN.fullmatch(text) and not _is_awkward(text):
        return text
    digest = hashlib.sha256(text.casefold().encode("utf-8", "surrogatepass")).hexdigest()[:12]
    plain = _NOT_PLAIN.sub("_", text).strip("._-+")[: MAX_COMPONENT_CHARS - 20]
    # No plain name begins with an underscore, so that nobody can choose a name that clashes with these.
    return f"_{plain}-{digest}" if plain else f"_{digest}"


def safe_file_name(path: str) -> str:
    """The last component of a path in a repository or package, safe as a file name.

    The parts of a split model keep their numbers, and stay neighbours.
    """
    name = path.replace("\\", "/").rpartition("/")[2]
    found = _SPLIT_OR_GGUF.fullmatch(name)
    return safe_component(found["stem"]) + found["tail"] if found else safe_component(name)


def is_safe_file_name(name: str) -> bool:
    """Whether a name is one that `safe_file_name` gives: one plain component, nothing hidden."""
    return (
        len(name) <= MAX_NAME_CHARS and _PLAIN.fullmatch(name.removeprefix("_")) is not None
    ) and not _is_awkward(name)


def _is_awkward(text: str) -> bool:
    return text.endswith(".") or _RESERVED.fullmatch(text) is not None
