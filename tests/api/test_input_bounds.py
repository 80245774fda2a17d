"""Values at and past every bound, on both ports: a 4xx that names the field, or success, and never a 5xx."""

from __future__ import annotations

import json
import socket

import pytest

from foundrylocal.settings.schema import FILE_ONLY_SETTINGS, Settings
from tests.hostile import BODIES, DIGITS, VALUES
from tests.running import CHAT_MODEL, Service

CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
FIELDS = [
    "model",
    "messages",
    "max_tokens",
    "temperature",
    "top_p",
    "n",
    "stream",
    "stop",
    "seed",
    "logit_bias",
    "user",
    "tools",
    "tool_choice",
    "response_format",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "stream_options",
    "grammar",
    "json_schema",
    "chat_template_kwargs",
]


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - FILE_ONLY_SETTINGS))
def test_no_value_of_a_setting_is_a_fault(service: Service, name: str) -> None:
    for value in VALUES:
        if name == "management_key" and isinstance(value, str) and 16 <= len(value) <= 256:
            continue
        answer = service.post("/config", {name: value})
        assert answer.status_code in (200, 400, 413), (name, str(value)[:80], answer.text)
        service.post("/config", {"defaults": True})


def test_no_body_is_a_fault_on_either_port(service: Service) -> None:
    started = service.start()
    with service.gateway() as client:
        for text in BODIES:
            for path in ("/config", "/start", "/switch-model", "/models/import", "/models/search"):
                answer = service.http.post(path, content=text.encode())
                assert answer.status_code < 500, (path, text[:80], answer.text)
            for path in (
                "/v1/chat/completions",
                "/v1/completions",
                "/v1/messages",
                "/v1/responses",
                "/v1/embeddings",
            ):
                answer = client.post(path, content=text.encode())
                assert answer.status_code < 500, (path, text[:80], answer.text)
    assert started["success"] and service.get("/health").json()["foundry_local"]["status"] == "running"


@pytest.mark.parametrize("field", FIELDS)
def test_no_value_of_a_field_of_a_chat_is_a_fault(service: Service, field: str) -> None:
    service.start()
    with service.gateway() as client:
        for value in VALUES:
            answer = client.post("/v1/chat/completions", json=CHAT | {field: value})
            assert answer.status_code < 500, (field, str(value)[:80], answer.text)


@pytest.mark.parametrize("length", [str(2**63), str(2**64), DIGITS, "-1", "1_0", "+1", "0x10"])
def test_no_content_length_is_a_fault(service: Service, length: str) -> None:
    with socket.create_connection(("127.0.0.1", service.port), 10) as connection:
        head = f"POST /iblink/v1/foundry-local/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).split()[1][:1] == b"4"


LONGEST_TEXT = "\U0001f600" * 32_768


@pytest.mark.parametrize(
    ("path", "field"), [("/markdown", "text"), (f"/models/{CHAT_MODEL}/preset", "system_prompt")]
)
def test_the_longest_text_is_taken_however_its_characters_are_written(
    service: Service, path: str, field: str
) -> None:
    for body in (json.dumps({field: LONGEST_TEXT}), json.dumps({field: LONGEST_TEXT}, ensure_ascii=False)):
        answer = service.http.post(path, content=body.encode())
        assert answer.status_code == 200, answer.text[:300]
    longer = service.http.post(path, content=json.dumps({field: LONGEST_TEXT + "x"}).encode())
    assert (longer.status_code, longer.json()["error"]["code"]) == (400, "invalid_request")


def test_an_empty_body_changes_no_preset(service: Service) -> None:
    path = f"/models/{CHAT_MODEL}/preset"
    service.post(path, {"seed": 7})
    answer = service.http.post(path)
    assert (answer.status_code, answer.json()["saved"]) == (200, {"seed": 7})
