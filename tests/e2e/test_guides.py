"""The programs of docs/how-to/clients.md, set up as that page says, each with one question to the real model.

`make clients` installs them in an environment of their own; elsewhere they are skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_ollama import port_url
from tests.docs.blocks import Block, all_blocks
from tests.e2e import agent_session
from tests.e2e.test_ollama import CHAT
from tests.real_models import copy_into
from tests.running import CHAT_MODEL, CHAT_MODEL_ID, REPOSITORY, Service, running

pytestmark = pytest.mark.model
NEEDS = "the extra `clients` is not installed"
QUESTION = "What is the capital of France?"
RUN_TIMEOUT_S = 100
BLOCKS = list(all_blocks(REPOSITORY / "docs" / "how-to" / "clients.md"))
PYTHON = [block for block in BLOCKS if block.mark == "python client"]
_MODULE = re.compile(r"^from ([\w.]{1,80})", re.MULTILINE)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("guides-home")
    copy_into(home / "cache", CHAT_MODEL_ID)
    with running(home, FOUNDRYLOCAL_OLLAMA_PORT="0", FOUNDRYLOCAL_THREADS="1") as found:
        found.start()
        # Programs that set no limit of their own get short answers, which end by themselves.
        found.post(f"/models/{CHAT_MODEL}/preset", {"max_tokens": 100, "temperature": 0, "stop": ["e"]})
        yield found


@pytest.fixture
def health(service: Service) -> dict[str, Any]:
    return dict(service.status()["health"])


def block(mark: str, words: str) -> Block:
    """The block of the page with that mark and these words."""
    (found,) = (block for block in BLOCKS if block.mark == mark and words in block.text)
    return found


def as_here(text: str, service: Service, health: dict[str, Any]) -> str:
    """A text of the page with this service's addresses and key."""
    made = {
        "http://127.0.0.1:1234/v1": health["endpoint"],
        "http://127.0.0.1:1234": health["endpoint"].removesuffix("/v1"),
        "http://127.0.0.1:11434": port_url(service),
        "fl-...": health["api_key"],
    }
    for old, new in made.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_the_libraries_take_what_the_page_shows(
    service: Service, health: dict[str, Any], number: int
) -> None:
    text = PYTHON[number].text
    for module in _MODULE.findall(text):
        pytest.importorskip(module, reason=NEEDS)
    exec(as_here(text, service, health), {"__name__": "page"})  # noqa: S102 - our own page


def test_the_agents_get_what_the_page_shows(tmp_path: Path) -> None:
    """tests/e2e/test_agents.py runs them with these settings."""
    variables = agent_session.command("claude", "claude", tmp_path, "http://127.0.0.1:1234/v1", "fl-...")[1]
    shown = dict(re.findall(r"(\w{1,60})=(\S{1,100})", block("bash client", "ANTHROPIC").text))
    assert shown.keys() <= variables.keys()
    assert {name: value for name, value in shown.items() if "MODEL" not in name}.items() <= variables.items()
    config = agent_session.CODEX_CONFIG.format(model="x", endpoint="http://127.0.0.1:1234/v1")
    shown_codex = tomllib.loads(block("toml data", "model_provider").text)
    used = tomllib.loads(config)["model_providers"]["local"]
    provider = shown_codex["model_providers"]["local"]
    assert provider.items() - {("name", provider["name"])} <= used.items()


def test_llm(service: Service, health: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("llm", reason=NEEDS)
    models = as_here(block("yaml data", "model_id").text, service, health)
    (tmp_path / "extra-openai-models.yaml").write_text(models)
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
    program = f'llm() {{ {sys.executable} -m llm "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-euc", program + block("bash client", "llm keys").text],
        env=environment,
        input=health["api_key"] + "\n",
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_llama_index_by_openais_api(health: dict[str, Any]) -> None:
    module = pytest.importorskip("llama_index.llms.openai_like", reason=NEEDS)
    llm = module.OpenAILike(
        model=CHAT_MODEL, api_base=health["endpoint"], api_key=health["api_key"], is_chat_model=True
    )
    assert str(llm.complete(QUESTION))


def test_llama_index_by_ollamas_api(service: Service) -> None:
    module = pytest.importorskip("llama_index.llms.ollama", reason=NEEDS)
    llm = module.Ollama(
        model=CHAT, base_url=port_url(service), request_timeout=RUN_TIMEOUT_S, context_window=2048
    )
    assert str(llm.complete(QUESTION))


def test_pydantic_ai(health: dict[str, Any]) -> None:
    pytest.importorskip("pydantic_ai", reason=NEEDS)
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=health["endpoint"], api_key=health["api_key"])
    agent = Agent(OpenAIChatModel(CHAT_MODEL, provider=provider))
    assert agent.run_sync(QUESTION).output


def test_the_openai_agents_sdk(health: dict[str, Any]) -> None:
    agents = pytest.importorskip("agents", reason=NEEDS)
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=health["endpoint"], api_key=health["api_key"])
    agents.set_tracing_disabled(True)
    for kind in (agents.OpenAIResponsesModel, agents.OpenAIChatCompletionsModel):
        agent = agents.Agent(name="Helper", model=kind(model=CHAT_MODEL, openai_client=client))
        assert agents.Runner.run_sync(agent, QUESTION).final_output
