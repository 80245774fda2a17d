"""Homes as earlier versions of the program left them: the text of their files, word for word.

A version that changes the form of a file adds the home of the version before it here; none is ever removed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EarlierHome:
    """Files by their path in the home.

    `manifest_fields` are what a manifest said of a file; `settings` must be in force after the upgrade.
    """

    name: str
    files: dict[str, str]
    manifest_fields: frozenset[str]
    settings: dict[str, Any] = field(default_factory=dict)

    def write(self, home: Path) -> None:
        """Write the files, and turn the manifests of the models that are there into those of that version."""
        for name, text in self.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, "utf-8")
        for manifest in (home / "cache").rglob("manifest.json"):
            document = json.loads(manifest.read_bytes())
            document["files"] = [
                {name: value for name, value in file.items() if name in self.manifest_fields}
                for file in document["files"]
            ]
            manifest.write_text(json.dumps(document, indent=1), "utf-8")


# Before pauses of downloads, presets and keys; manifests relied on names to find projectors (24 November 2026).
BEFORE_PRESETS = EarlierHome(
    name="before presets",
    files={
        "config/config.json": """{
  "aliases": {
    "chat": "SmolLM2-135M-Instruct-Q4_1-GGUF"
  },
  "allowed_origins": [
    "http://localhost:3000"
  ],
  "context_size": 2048,
  "idle_unload_seconds": 60,
  "memory_budget_mb": 4000,
  "queue_size": 7,
  "request_limit_mb": 16,
  "threads": null
}
""",
        "state/gateway.key": "fl-m_Mou8DblthIf0d5GtCl5smPub8EGCNoN0BERL44zGA\n",
        "state/downloads.json": """{
 "downloads": [
  "Qwen/Qwen2.5-0.5B-Instruct-Q4_K_M-GGUF"
 ]
}""",
        "state/imported.json": """{
 "models": [
  {
   "model_id": "local/mine",
   "simple_name": "mine",
   "size": "135M",
   "quantization": "Q8_0",
   "family": "llama",
   "license": null,
   "context_length": 2048,
   "capabilities": [
    "chat"
   ],
   "sources": [
    {
     "type": "local",
     "how": "copy",
     "files": [
      {
       "path": "/home/me/mine.gguf",
       "size_bytes": 1234,
       "sha256": null
      }
     ]
    }
   ]
  },
  {
   "model_id": "org/other-Q4_K_M-GGUF",
   "simple_name": "other-Q4_K_M-GGUF",
   "size": null,
   "quantization": "Q4_K_M",
   "family": null,
   "license": "apache-2.0",
   "context_length": null,
   "capabilities": [
    "chat"
   ],
   "sources": [
    {
     "type": "huggingface",
     "repo": "org/other-GGUF",
     "revision": "abc",
     "files": [
      {
       "path": "other.Q4_K_M.gguf",
       "size_bytes": 99,
       "sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      }
     ]
    }
   ]
  }
 ]
}""",
    },
    manifest_fields=frozenset({"name", "size_bytes", "mtime_ns", "sha256", "is_linked"}),
    settings={"queue_size": 7, "context_size": 2048, "request_limit_mb": 16, "threads": None},
)

# The first of all, which had a setting that is gone (22 November 2026).
WITH_ENGINE_PATH = EarlierHome(
    name="with engine_path",
    files={
        "config/config.json": '{\n  "engine_path": "/opt/llama/llama-server",\n  "queue_size": 5\n}\n',
        "state/gateway.key": "fl-m_Mou8DblthIf0d5GtCl5smPub8EGCNoN0BERL44zGA\n",
    },
    manifest_fields=frozenset({"name", "size_bytes", "mtime_ns", "sha256", "is_linked"}),
    settings={"queue_size": 5},
)

EARLIER_HOMES = (BEFORE_PRESETS, WITH_ENGINE_PATH)
