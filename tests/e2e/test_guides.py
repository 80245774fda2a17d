"""The programs of docs/how-to/clients.md, set up as that page says, each with one question to the real model.

`make clients` installs them in an environment of their own; elsewhere they are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_ollama import port_url
from tests.e2e.test_ollama import CHAT
from tests.real_models import copy_into
from tests.running import CHAT_MODEL, CHAT_MODEL_ID, Service, running

pytestmark = pytest.mark.model
NEEDS = "the extra `clients` is not installed"
QUESTION = "What is the capital of France?"
RUN_TIMEOUT_S = 100


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


def test_llm(service: Service, health: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("llm", reason=NEEDS)
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: local\n  model_name: {CHAT_MODEL}\n  api_base: {health['endpoint']}\n  api_key_name: local\n"
    )
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
    for arguments in (
        ["keys", "set", "local", "--value", health["api_key"]],
        ["-m", "local", QUESTION],
        ["-m", "local", "--no-stream", QUESTION],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "llm", *arguments],
            env=environment,
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
