"""The conversation: its history, its figures, and answers that break off."""

from __future__ import annotations

import pytest

from foundrylocal.cli.chat import Conversation
from foundrylocal.cli.ensure_loaded import RunningServer
from foundrylocal.cli.failure import Failure
from tests.fakes.management_api import Script, chunks

ASK = "POST /v1/chat/completions"


def conversation(service: Script) -> Conversation:
    return Conversation(RunningServer(f"{service.url}/v1", "fl-key", "Tiny", "org/Tiny", is_ours=False))


def messages(service: Script) -> list[tuple[str, str]]:
    return [(m["role"], m["content"]) for m in service.calls[-1][1]["messages"]]


def test_the_history_grows_by_both_sides(service: Script) -> None:
    service.on(ASK, chunks("Hello", " you"))
    talk = conversation(service)
    written: list[str] = []
    answer = talk.ask("Hi", written.append)
    assert (answer.text, answer.tokens, written) == ("Hello you", 2, ["Hello", " you"])
    assert answer.tokens_per_s is not None
    assert answer.first_token_s is not None
    assert service.headers[-1]["authorization"] == "Bearer fl-key"
    talk.ask("More", written.append)
    assert messages(service) == [("user", "Hi"), ("assistant", "Hello you"), ("user", "More")]
    talk.clear()
    talk.ask("Again", written.append)
    assert messages(service) == [("user", "Again")]


@pytest.mark.parametrize(
    "answer",
    [
        chunks("Hel")[:-1],
        [
            *chunks("Hel")[:2],
            {"error": {"message": "gone", "type": "server_error", "code": "worker_crashed"}},
        ],
        (503, {"error": {"message": "Loading model", "type": "t", "code": "model_loading"}}),
    ],
)
def test_a_broken_answer_leaves_no_trace_in_the_history(service: Script, answer: object) -> None:
    talk = conversation(service)
    service.on(ASK, answer)
    with pytest.raises(Failure):
        talk.ask("Hi", lambda text: None)
    service.on(ASK, chunks("Hello"))
    talk.ask("Again", lambda text: None)
    assert messages(service) == [("user", "Again")]


def test_a_stopped_answer_is_kept_as_far_as_it_came(service: Script) -> None:
    service.on(ASK, chunks("Hello", " you", " there"))
    talk = conversation(service)

    def stop_at_the_second(text: str) -> None:
        if text == " you":
            raise KeyboardInterrupt

    answer = talk.ask("Hi", stop_at_the_second)
    assert answer.is_stopped
    talk.ask("More", lambda text: None)
    assert messages(service) == [("user", "Hi"), ("assistant", "Hello you"), ("user", "More")]
