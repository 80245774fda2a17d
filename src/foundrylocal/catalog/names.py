"""Names of models and files: how they compare, and where they are stored on disk.

Invariant: `folder_parts` and `safe_file_name` return plain path components that every system accepts, and two
different models never get the same folder.
"""

from __future__ import annotations

import hashlib
import re

MAX_NAME_CHARS = 256
MAX_COMPONENT_CHARS = 100

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._+-]+")
_SPLIT_OR_GGUF = re.compile(r"(?P<stem>.+?)(?P<tail>(?:-[0-9]{5}-of-[0-9]{5})?\.gguf)", re.DOTALL)
# Windows treats these as devices, whatever the extension, and drops trailing dots and spaces.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_NO_ORGANIZATION = "local"


def key(name: str) -> str:
    """The form in which names are compared: case and surrounding whitespace do not count."""
    return name.strip().casefold()


def simple_name(model_id: str) -> str:
    """The part of a model id after the organization."""
    return model_id.rpartition("/")[2]


def folder_parts(model_id: str) -> tuple[str, str]:
    """The two folder names, organization and model, for a model's files."""
    organization, _, name = model_id.rpartition("/")
    return safe_component(organization or _NO_ORGANIZATION), safe_component(name)


def safe_component(text: str) -> str:
    """`text` itself if it is a plain name on every system, else its plain part and a digest of the whole.

    The digest distinguishes names that differ only in what was left out. It ignores case, as lookups do.
    """
    if len(text) <= MAX_COMPONENT_CHARS and _PLAIN.fullmatch(text) and not _is_awkward(text):
        return text
    digest = hashlib.sha256(text.casefold().encode("utf-8", "surrogatepass")).hexdigest()[:12]
    plain = _NOT_PLAIN.sub("_", text).strip("._-+")[: MAX_COMPONENT_CHARS - 20]
    # No plain name begins with an underscore, so no chosen name can clash with these.
    return f"_{plain}-{digest}" if plain else f"_{digest}"


def safe_file_name(path: str) -> str:
    """The last component of a path in a repository or package, made safe as a file name.

    The parts of a split model keep their numbers and a common stem.
    """
    name = path.replace("\\", "/").rpartition("/")[2]
    found = _SPLIT_OR_GGUF.fullmatch(name)
    return safe_component(found["stem"]) + found["tail"] if found else safe_component(name)


def is_safe_file_name(name: str) -> bool:
    """Whether `safe_file_name` could have returned this name: one plain component, not hidden."""
    return (
        len(name) <= MAX_NAME_CHARS and _PLAIN.fullmatch(name.removeprefix("_")) is not None
    ) and not _is_awkward(name)


def _is_awkward(text: str) -> bool:
    return text.endswith(".") or _RESERVED.fullmatch(text) is not None
