"""The answer of /config as clients read it; the settings themselves are declared in `settings/schema.py`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class SettingsAnswer(BaseModel):
    """Every setting: the published ones as attributes, each other by name, as in `answer["context_size"]`."""

    model_config = ConfigDict(extra="allow")

    success: bool
    message: str
    port: int
    cachedir: str
    default_log_level: str
    overridden: dict[str, str] = {}

    def __getitem__(self, name: str) -> Any:
        """The setting of that name. Raises KeyError."""
        others = self.model_extra or {}
        if name in others:
            return others[name]
        if name in type(self).model_fields:
            return getattr(self, name)
        raise KeyError(name)
