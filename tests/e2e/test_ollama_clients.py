"""Further clients of Ollama's API against the real model, on both ports: for Node, and LangChain's.

`make clients` installs them in an environment of their own; elsewhere they are skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_ollama import port_url
from tests.e2e.test_ollama import CHAT, EMBED, EMBED_FILE, SCHEMA
from tests.real_models import copy_into, store_variant
from tests.running import CHAT_MODEL_ID, REPOSITORY, TEST_MODELS, Service, running

pytestmark = pytest.mark.model
PROGRAM = REPOSITORY / "tests" / "e2e" / "client_ollama.mjs"
INSTALL_TIMEOUT_S = 300
RUN_TIMEOUT_S = 110
QUESTION = "What is the capital of France?"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("ollama-clients-home")
    copy_into(home / "cache", CHAT_MODEL_ID)
    store_variant(home, EMBED_FILE, {"llama.pooling_type": 1})
    with running(home, FOUNDRYLOCAL_OLLAMA_PORT="0", FOUNDRYLOCAL_THREADS="1") as found:
        found.start()
        yield found


@pytest.fixture(params=["own port", "gateway"])
def access(service: Service, request: pytest.FixtureRequest) -> tuple[str, str]:
    """The address and the key; Ollama's own port needs none."""
    if request.param == "own port":
        return port_url(service), ""
    health = service.status()["health"]
    return str(health["endpoint"]).removesuffix("/v1"), str(health["api_key"])


# --- Node -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node_folder() -> Path:
    """A folder with the `ollama` package, fetched once and kept between runs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed")
    folder = TEST_MODELS / "node-ollama"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / "ollama" / "package.json").exists():
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        asked = [npm, "install", "--no-audit", "--no-fund", "--silent", "ollama"]
        done = subprocess.run(asked, cwd=folder, timeout=INSTALL_TIMEOUT_S, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"npm could not install ollama: {done.stderr.strip()[:200]}")
    return folder


def test_ollama_for_node(access: tuple[str, str], node_folder: Path) -> None:
    program = node_folder / PROGRAM.name  # beside node_modules, where imports are looked for
    shutil.copy(PROGRAM, program)
    done = subprocess.run(
        ["node", str(program), *access, CHAT, "llama3.2:1b"],
        timeout=RUN_TIMEOUT_S,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert CHAT in seen["names"] and CHAT in seen["loaded"] and seen["copied"]
    assert seen["whole"] and seen["streamed"] == seen["whole"] and seen["generated"]
    assert (seen["architecture"], seen["capabilities"]) == ("llama", ["completion"])
    assert seen["json"].keys() == {"city", "size"}
    assert seen["pulled"][0] == "pulling manifest" and seen["pulled"][-1] == "success"
    for failure in ("unknown", "unpulled", "unpulledStream"):
        assert seen[failure]["status"] == 404 and "try pulling it first" in seen[failure]["message"]
    assert seen["unloaded"] == "unload"


# --- LangChain ------------------------------------------------------------------------------------------


def langchain(access: tuple[str, str], kind: str, **options: Any) -> Any:
    module = pytest.importorskip("langchain_ollama", reason="the extra `clients` is not installed")
    url, key = access
    headers = {"headers": {"Authorization": f"Bearer {key}"}} if key else {}
    return getattr(module, kind)(base_url=url, client_kwargs=headers, **options)


def test_langchain_chats_and_streams_the_same(access: tuple[str, str]) -> None:
    options = {"num_predict": 8, "temperature": 0, "validate_model_on_init": True}
    chat = langchain(access, "ChatOllama", model=CHAT, **options)
    whole = chat.invoke(QUESTION)
    assert whole.content and "".join(str(chunk.content) for chunk in chat.stream(QUESTION)) == whole.content
    assert whole.usage_metadata["output_tokens"] == 8
    text = langchain(access, "OllamaLLM", model=CHAT, num_predict=8, temperature=0)
    assert text.invoke("Hello")


def test_langchain_gets_json_of_a_schema(access: tuple[str, str]) -> None:
    schema = SCHEMA | {"title": "City", "description": "A city."}
    chat = langchain(access, "ChatOllama", model=CHAT)
    found = chat.with_structured_output(schema, method="json_schema").invoke(QUESTION)
    assert found.keys() == {"city", "size"}


def test_langchain_embeds(access: tuple[str, str]) -> None:
    embeddings = langchain(access, "OllamaEmbeddings", model=EMBED)
    two = embeddings.embed_documents(["The sea is blue.", "import os"])
    assert len(two) == 2 and len(two[0]) == len(embeddings.embed_query("sea"))


def test_langchain_says_what_is_missing(access: tuple[str, str]) -> None:
    import ollama

    with pytest.raises(ollama.ResponseError, match="try pulling it first"):
        langchain(access, "ChatOllama", model="nobody").invoke(QUESTION)
    with pytest.raises(ValueError, match="not found"):
        langchain(access, "ChatOllama", model="nobody", validate_model_on_init=True)
