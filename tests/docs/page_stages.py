"""What the machine has that a page is read on: models and files, other programs' stores, tools of the system.

Invariant: nothing outside the page's folder is touched. No vision, embedding, reranking or tool-calling model is
small enough to be fetched by a test, so those are variants of the starter model.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from foundrylocal.catalog.library import Library
from tests.docs.everyday import write_model_file, write_ollama_store
from tests.e2e.test_embeddings import MEAN, RANK
from tests.e2e.test_presets import write_adapter
from tests.e2e.test_tools import TEMPLATE
from tests.e2e.test_vision import png, write_projector
from tests.fakes.gguf_corpus import gguf, write_gguf
from tests.fakes.hub import FakeHub
from tests.fakes.llama_server import make_llama_server
from tests.real_models import store_variant
from tests.running import CHAT_MODEL_ID, TEST_MODELS

HUB_REPO = "unsloth/Llama-3.2-1B-Instruct-GGUF"
# A service manager that starts and ends the service when it is asked to, and says that it runs.
SYSTEMCTL = """#!/bin/sh
case "$*" in
  *disable*) foundrylocal shutdown > /dev/null || true ;;
  *restart*|*start*|*--now*) foundrylocal serve --detach > /dev/null ;;
  *is-active*) echo active ;;
esac
"""
# Root, where the units of the system are those of this command alone.
SUDO = """#!/bin/sh
exec unshare --mount sh -c 'mount -t tmpfs none /etc/systemd/system && exec "$@"' sh "$@"
"""
UNSHARE = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]


@dataclass
class Stage:
    """A page's home and the folder that its commands run in; `replaced` are paths and names of the page's machine."""

    home: Path
    folder: Path
    stack: ExitStack
    settings: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)

    @property
    def tools(self) -> Path:
        """The folder that is first on PATH."""
        return self.folder / "bin"

    def tool(self, name: str, script: str) -> None:
        self.tools.mkdir(exist_ok=True)
        (self.tools / name).write_text(script)
        (self.tools / name).chmod(0o755)


def first_app(stage: Stage) -> None:
    stage.replaced["http.server 8000"] = "http.server 0"


def change_settings(stage: Stage) -> None:
    stage.replaced["8234"] = "0"


def call_the_gateway(stage: Stage) -> None:
    store_variant(stage.home, "Qwen3-8B-Q4_K_M-GGUF", {"tokenizer.chat_template": TEMPLATE})


def images_and_embeddings(stage: Stage) -> None:
    store_variant(stage.home, "SmolVLM-500M-Instruct-Q8_0-GGUF", {}, write_projector)
    store_variant(stage.home, "nomic-embed-text-v1.5-Q8_0-GGUF", {"llama.pooling_type": MEAN})
    store_variant(stage.home, "bge-reranker-v2-m3-Q8_0-GGUF", {"llama.pooling_type": RANK})
    (stage.folder / "picture.png").write_bytes(base64.b64decode(png()))


def from_lm_studio(stage: Stage) -> None:
    model = Library(TEST_MODELS).get(CHAT_MODEL_ID)
    assert model is not None
    store = stage.folder / ".lmstudio" / "models" / "bartowski" / "SmolLM2-135M-Instruct-GGUF"
    store.mkdir(parents=True)
    shutil.copy(model.model_path, store / "SmolLM2-135M-Instruct-Q4_1.gguf")


def from_ollama(stage: Stage) -> None:
    write_ollama_store(stage.folder)


def gpu(stage: Stage) -> None:
    make_llama_server(stage.folder / "opt" / "llama", "gpu")
    stage.replaced["/opt/llama"] = str(stage.folder / "opt" / "llama")


def models(stage: Stage) -> None:
    write_model_file(stage.folder)
    write_ollama_store(stage.folder)
    for name in ("another-model.gguf", "third-model.gguf"):
        write_gguf(stage.folder / "models" / name)
    hub = stage.stack.enter_context(FakeHub())
    hub.add(HUB_REPO, "Llama-3.2-1B-Instruct-Q5_K_M.gguf", gguf() + os.urandom(2 * 1024 * 1024))
    hub.storage_faults.append("pause:600000")
    stage.settings |= hub.environment


def network(stage: Stage) -> None:
    stage.replaced["0.0.0.0"] = "127.0.0.1"  # tests open nothing to the network


def presets(stage: Stage) -> None:
    stage.replaced["/data/tone.gguf"] = str(write_adapter(stage.folder / "tone.gguf"))


def requests(stage: Stage) -> None:
    stage.replaced["req-9f86d081884c7d65"] = "$REQUEST_ID"


def run_at_boot(stage: Stage) -> None:
    if subprocess.run(UNSHARE, capture_output=True, check=False).returncode:
        pytest.skip("needs root, and a namespace of mounts")
    stage.tool("systemctl", SYSTEMCTL)
    stage.tool("loginctl", "#!/bin/sh\n")
    stage.tool("sudo", SUDO)


STAGES: dict[str, Callable[[Stage], None]] = {
    "call-the-gateway.md": call_the_gateway,
    "change-settings.md": change_settings,
    "first-app.md": first_app,
    "from-lm-studio.md": from_lm_studio,
    "from-ollama.md": from_ollama,
    "gpu.md": gpu,
    "images-and-embeddings.md": images_and_embeddings,
    "models.md": models,
    "network.md": network,
    "presets.md": presets,
    "requests.md": requests,
    "run-at-boot.md": run_at_boot,
}
