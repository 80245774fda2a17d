"""The chat at a terminal: its commands, questions of several lines, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from foundrylocal.cli.chat import Conversation
from foundrylocal.cli.chat_loop import ChatLoop
from foundrylocal.cli.ensure_loaded import RunningServer
from tests.fakes.management_api import Script, chunks

ASK = "POST /v1/chat/completions"
Chat = Callable[..., tuple[str, str]]


@pytest.fixture
def chat(service: Script, capsys: pytest.CaptureFixture[str]) -> Chat:
    """Types these lines into a chat; what it printed on stdout and stderr."""
    service.on(ASK, chunks("Hello"))

    def run(*lines: str, images: list[str] | None = None) -> tuple[str, str]:
        server = RunningServer(f"{service.url}/v1", "fl-key", "Tiny", "org/Tiny", is_ours=False)
        typed: Iterator[str] = iter(lines)

        def read(prompt: str) -> str:
            try:
                return next(typed)
            except StopIteration:
                raise EOFError from None

        ChatLoop(Conversation(server), images or [], read).run()
        captured = capsys.readouterr()
        return captured.out, captured.err

    return run


def asked(service: Script) -> list[dict[str, Any]]:
    return [body for call, body in service.calls if call == ASK]


def test_an_unknown_command_is_refused_and_not_sent(service: Script, chat: Chat) -> None:
    _, err = chat("/cleer", "/set temprature 1", "/image")
    assert "Error: There is no command /cleer\n" in err
    assert "Next: /help lists the commands" in err
    assert "There is no setting 'temprature'" in err
    assert "Which image?" in err
    assert asked(service) == []


def test_a_path_or_a_quoted_slash_is_a_question(service: Script, chat: Chat) -> None:
    chat("/etc/passwd is what?", '"""/help me"""')
    assert [body["messages"][-1]["content"] for body in asked(service)] == [
        "/etc/passwd is what?",
        "/help me",
    ]


def test_a_question_of_several_lines(service: Script, chat: Chat) -> None:
    chat('"""First line', "", '  second line"""')
    assert asked(service)[0]["messages"] == [{"role": "user", "content": "First line\n\n  second line"}]


def test_set_changes_the_next_questions(service: Script, chat: Chat) -> None:
    out, err = chat(
        "/set system You are brief.",
        "/set temperature 0.2",
        '/set stop ["END"]',
        "/set",
        "Hi",
        "/set stop null",
        "Hi",
    )
    assert err == ""
    assert "system       You are brief." in out
    first, second = asked(service)
    assert first["messages"][0] == {"role": "system", "content": "You are brief."}
    assert (first["temperature"], first["stop"]) == (0.2, ["END"])
    assert "stop" not in second


@pytest.mark.parametrize("text", ["temperature 9", "temperature hot", "top_k -1", "seed"])
def test_an_impossible_value_is_refused(service: Script, chat: Chat, text: str) -> None:
    _, err = chat(f"/set {text}", "Hi")
    assert err.startswith("Error: ")
    assert text.split()[0] not in asked(service)[0]


def test_help_lists_every_command(chat: Chat) -> None:
    out, _ = chat("/help")
    assert all(word in out for word in ("/bye", "/clear", "/set", "/image", "/help", '"""', "Ctrl-C"))
    assert max(len(line) for line in out.splitlines()) <= 80


def test_an_image_goes_with_the_next_question_only(service: Script, chat: Chat, tmp_path: Path) -> None:
    image = tmp_path / "cat.jpg"
    image.write_bytes(b"\xff\xd8\xff\xe0")
    chat(f"/image {image}", "What is it?", "And now?", images=["data:image/png;base64,AA=="])
    first, second = (body["messages"][-1]["content"] for body in asked(service))
    assert [part["type"] for part in first] == ["image_url", "image_url", "text"]
    assert second == "And now?"


def test_clear_forgets_and_bye_ends(service: Script, chat: Chat) -> None:
    chat("Hi", "/clear", "Again", "/bye", "Never")
    assert [len(body["messages"]) for body in asked(service)] == [1, 1]


def test_a_failed_answer_does_not_end_the_chat(service: Script, chat: Chat) -> None:
    answers = iter(
        [(502, {"error": {"message": "Crashed", "type": "t", "code": "worker_crashed"}}), chunks("Hello")]
    )
    service.on(ASK, lambda body: next(answers))
    out, err = chat("Hi", "Again")
    assert "Error: Crashed" in err
    assert "Hello" in out


@pytest.mark.parametrize(
    ("typed", "next_step"),
    [
        ("/show", "foundrylocal show MODEL"),
        ("/load other", "/bye, then foundrylocal run MODEL"),
        ("/save mine", "foundrylocal set MODEL"),
        ("/set temprature 1", "/help lists the names"),
    ],
)
def test_a_command_of_another_chat_says_what_to_do_instead(chat: Chat, typed: str, next_step: str) -> None:
    assert f"Next: {next_step}" in chat(typed)[1]


def test_set_is_understood_as_ollama_writes_it(service: Script, chat: Chat) -> None:
    out, err = chat('/set system "You are brief."', "/set parameter temperature 0.2", "/set verbose", "Hi")
    assert err == ""
    assert "The figures of each answer are always shown." in out
    assert asked(service)[0]["messages"][0] == {"role": "system", "content": "You are brief."}
    assert asked(service)[0]["temperature"] == 0.2


def test_an_unknown_setting_gets_the_nearest_names(chat: Chat) -> None:
    assert "Did you mean temperature" in chat("/set temprature 1")[1]


def test_a_model_that_cannot_see_says_where_others_are(service: Script, chat: Chat) -> None:
    refusal = {"message": "Model 'Tiny' cannot take images", "type": "t", "code": "invalid_request"}
    service.on(ASK, (400, {"error": refusal}))
    _, err = chat("What is this?", images=["data:image/png;base64,AA=="])
    assert "Error: Model 'Tiny' cannot take images" in err
    assert "Next: foundrylocal list --all --for vision" in err
