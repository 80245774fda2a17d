"""Two real models of which one fits: each conversation goes on from its saved prompt, and answers stay right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real_models import copy_into
from tests.running import BASE_MODEL, BASE_MODEL_ID, CHAT_MODEL, CHAT_MODEL_ID, Service, running

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]
ROOM_FOR_ONE = "500"
ALTERNATIONS = 20
CITIES = ("Lima", "Oslo", "Rome", "Cairo", "Delhi", "Quito", "Tunis", "Seoul", "Paris", "Minsk")
CODES = {city: 1000 + 523 * number % 9000 for number, city in enumerate(CITIES, 1)}


def beginning(model: str) -> str:
    """Some 600 tokens that no other model's conversation begins with."""
    facts = [f"The code of {city} is {CODES[city]}." for city in CITIES]
    return f"Notes of {model}.\n" + "\n".join(facts * 4)


def ask(service: Service, model: str, text: str) -> tuple[str, int, int]:
    """How the model goes on; tokens of the prompt, and how many of them came from the cache."""
    body = {"model": model, "prompt": text, "max_tokens": 5, "temperature": 0}
    with service.gateway() as gateway:
        answer = gateway.post("/v1/completions", json=body, timeout=300)
    assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return answer.json()["choices"][0]["text"], usage["prompt_tokens"], cached


def test_two_models_that_take_turns_go_on_from_their_saved_prompts(home: Path) -> None:
    copy_into(home / "cache", CHAT_MODEL_ID, BASE_MODEL_ID)
    texts = {model: beginning(model) for model in (CHAT_MODEL, BASE_MODEL)}
    with running(home, FOUNDRYLOCAL_MEMORY_BUDGET_MB=ROOM_FOR_ONE) as service:
        service.start()
        for turn in range(ALTERNATIONS):
            model = (CHAT_MODEL, BASE_MODEL)[turn % 2]
            answer = service.post("/switch-model", {"model_name": model}, timeout=300)
            assert answer.status_code == 200, (turn, answer.text, service.get("/logs?count=60").text)
            city = CITIES[turn * 3 % len(CITIES)]
            texts[model] += f"\nThe code of {city} is"
            said, tokens, cached = ask(service, model, texts[model])
            assert said.strip().startswith(f"{CODES[city]}"), (turn, model, said)
            assert cached >= 0.9 * tokens if turn > 1 else cached == 0, (turn, model, tokens, cached)
            texts[model] += f" {CODES[city]}."
        listed = service.get("/prompt-cache").json()
        assert {one["model"] for one in listed["models"]} == {CHAT_MODEL, BASE_MODEL}
        assert all(one["prompts"] == 1 for one in listed["models"])
        assert sum(one["hits"] for one in listed["models"]) >= ALTERNATIONS - 3
    assert not (home / "state" / "prompt-cache").exists()


def test_a_stop_saves_and_a_start_with_other_slots_and_context_goes_on(home: Path) -> None:
    copy_into(home / "cache", CHAT_MODEL_ID)
    text = beginning(CHAT_MODEL)
    with running(home, FOUNDRYLOCAL_PROMPT_CACHE_KEEP="true") as service:
        service.start(options={"context_size": 2048})
        ask(service, CHAT_MODEL, text)
    with running(home, FOUNDRYLOCAL_PROMPT_CACHE_KEEP="true") as service:
        service.start(options={"context_size": 4096, "parallel": 2})
        _, tokens, cached = ask(service, CHAT_MODEL, text + "\nThe code of Oslo is")
        assert cached >= 0.9 * tokens
