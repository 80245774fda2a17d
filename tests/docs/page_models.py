"""What pages need besides the starter model: models of other kinds, which are variants of it, and files.

No vision, embedding or reranking model is small enough to be fetched by a test.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from tests.e2e.test_embeddings import MEAN, RANK
from tests.e2e.test_vision import png, write_projector
from tests.real_models import store_variant


def prepare_images_and_embeddings(home: Path, folder: Path) -> None:
    store_variant(home, "SmolVLM-500M-Instruct-Q8_0-GGUF", {}, write_projector)
    store_variant(home, "nomic-embed-text-v1.5-Q8_0-GGUF", {"llama.pooling_type": MEAN})
    store_variant(home, "bge-reranker-v2-m3-Q8_0-GGUF", {"llama.pooling_type": RANK})
    (folder / "picture.png").write_bytes(base64.b64decode(png()))


# By the name of the page; each gets the home and the folder that the commands run in.
MODELS_OF_PAGES: dict[str, Callable[[Path, Path], None]] = {
    "images-and-embeddings.md": prepare_images_and_embeddings
}
