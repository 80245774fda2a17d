"""`foundrylocal run`: start everything needed, chat, and stop what was started.

Invariant: the command ends what it started and unloads what it loaded, unless --keep is given; what ran before stays
as it was. With a question of the caller's own, standard output gets the answer and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Annotated, Any, TextIO

import typer

from foundrylocal.catalog.starter import STARTER_MODEL
from foundrylocal.cli.answer_writer import answer_writer
from foundrylocal.cli.arguments import GatewayPort
from foundrylocal.cli.chat import Conversation
from foundrylocal.cli.chat_loop import PROMPT, ChatLoop, described
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.ensure_loaded import RunningServer, ensure_loaded
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.find_or_start_service import find_or_start
from foundrylocal.cli.image_file import data_url
from foundrylocal.cli.operations import UNLOAD_TIMEOUT_S
from foundrylocal.cli.render import facts, say, say_verbatim, show_failure

# A model with 135 million parameters answers this one well, and the same way each time.
QUESTION = "Tell me in one sentence what a cat is."
QUESTION_OPTIONS = {"temperature": 0, "max_tokens": 100}
# A small model may repeat itself until its context is full.
ONE_SHOT_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The command line; `port` is the management API's, and `images` are data URLs."""

    model: str
    prompt: str | None
    is_once: bool
    port: int | None
    gateway_port: int | None
    keep: bool
    system: str | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    images: tuple[str, ...] = ()

    @property
    def is_sample(self) -> bool:
        """Whether it only shows that everything works, and with what to go on."""
        return self.is_once and self.prompt is None


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name or id of a model.")] = STARTER_MODEL,
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT",
            help="Ask this and quit; without it, chat at a terminal or read the question from stdin.",
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Quit after one answer; without PROMPT, ask a sample question.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the service to use or start; 0 starts a separate one."),
    ] = None,
    gateway_port: GatewayPort = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the service and the server running afterwards.")
    ] = False,
    system: Annotated[str | None, typer.Option("--system", help="A system prompt.")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, max=2, help="How much answers vary; 0 gives the same one each time."),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", min=1, help=f"Longest answer in tokens; {ONE_SHOT_TOKENS} for one question."
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", help="An image file to ask about; repeat it for several."),
    ] = None,
) -> None:
    """Chat with a model; start and download what is needed.

    With a question, standard output gets the answer alone, and standard error
    everything else. The model is loaded alongside the others; none of them
    is unloaded for it.

    \b
    Examples:
      foundrylocal run
      foundrylocal run SmolLM2-135M-Instruct-Q4_1-GGUF "What is a cat?"
      foundrylocal run MODEL --system "Be brief." --temperature 0.2
      foundrylocal run MODEL "What is this?" --image photo.jpg
    """
    given = {"temperature": temperature, "max_tokens": max_tokens}
    sampling = {name: value for name, value in given.items() if value is not None}
    images = tuple(data_url(name) for name in image or ())
    _run(RunOptions(model, prompt, once, port, gateway_port, keep, system, sampling, images))


def _run(options: RunOptions) -> None:
    # Read the question first: an incomplete command line must not start or download anything.
    question = _question(options)
    out = sys.stdout
    with (
        _exit_on_signals(),
        _narration(question, options),
        find_or_start(options.port, keep=options.keep) as service,
    ):
        server = ensure_loaded(service.api, options.model, options.gateway_port)
        try:
            is_ending = service.is_ours or server.is_ours or server.has_loaded
            if question is None:
                say(f"\n{server.model} answers programs at {server.endpoint}.")
                say("foundrylocal status shows the key.")
                conversation = Conversation(server, options.system, options.sampling)
                ChatLoop(conversation, list(options.images)).run()
                _show_end(is_ending, options)
            else:
                _ask_once(Conversation(server, options.system, options.sampling), question, options, out)
                if options.is_sample:
                    _show_access(server)
                    _show_next(is_ending, server, options)
        finally:
            if not options.keep and not service.is_ours:
                _undo(service.api, server)


def _question(options: RunOptions) -> str | None:
    """What to ask; None for a chat."""
    if options.prompt is not None:
        return options.prompt
    if options.is_once:
        return QUESTION
    if sys.stdin.isatty():
        return None
    if piped := sys.stdin.read().strip():
        return piped
    raise Failure(
        "There is no question",
        "Without a terminal, give the question as PROMPT or on stdin.",
        "foundrylocal run --once",
        exit_code=2,
    )


def _narration(question: str | None, options: RunOptions) -> contextlib.AbstractContextManager[Any]:
    """Where everything but the answer goes: beside it, or to standard error, so that `> file` holds the answer."""
    if question is None or options.is_sample:
        return contextlib.nullcontext()
    return contextlib.redirect_stdout(sys.stderr)


@contextlib.contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Turn SIGTERM and a closed terminal into an exception, so that everything is cleaned up."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    names = ("SIGTERM", "SIGHUP")
    before = {
        number: signal.signal(number, end)
        for name in names
        if (number := getattr(signal, name, None)) is not None
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask_once(conversation: Conversation, question: str, options: RunOptions, out: TextIO) -> None:
    if options.is_sample:
        say(f"\n{PROMPT}{question}")
    limits = QUESTION_OPTIONS if options.is_sample else {"max_tokens": ONE_SHOT_TOKENS} | options.sampling
    answer = conversation.ask(question, answer_writer(out), options.images, **limits)
    print(file=out, flush=True)
    if answer.is_stopped:
        raise KeyboardInterrupt
    if not answer.text:
        raise Failure(
            "The model returned an empty answer",
            None,
            "run the same command again, or try another model: foundrylocal list --all",
        )
    say(described(answer))
    if answer.tokens >= limits["max_tokens"]:
        say("The answer was cut off there; --max-tokens allows more.")


def _show_access(server: RunningServer) -> None:
    say()
    facts([("Model", server.model), ("Endpoint", server.endpoint), ("API key", server.key)])
    say()
    say_verbatim(_curl(server))


def _curl(server: RunningServer) -> str:
    """A line to paste into a shell."""
    body = json.dumps({"model": server.model_id, "messages": [{"role": "user", "content": "Hello!"}]})
    return (
        f"curl {server.endpoint}/chat/completions -H 'Authorization: Bearer {server.key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _show_end(is_ending: bool, options: RunOptions) -> None:
    if is_ending and not options.keep:
        say("Stopping what this command started (--keep leaves it running).")
    else:
        say("The server keeps running; foundrylocal stop stops it.")


def _show_next(is_ending: bool, server: RunningServer, options: RunOptions) -> None:
    say()
    if is_ending and not options.keep:
        say("Stopping what this command started. To keep it running, with the same key:")
        say("  foundrylocal serve")
        say(f"  foundrylocal start {server.model}      (in another terminal)")
    else:
        say("The server keeps running. Next:")
        say("  foundrylocal status")
        say("  foundrylocal stop")
    say(f"  foundrylocal run {server.model}        (a chat)")


def _undo(api: ManagementClient, server: RunningServer) -> None:
    """Stop the server if this command started it, or unload the model if it loaded that."""
    try:
        if server.is_ours:
            say(str(api.post("/stop").get("message", "")))
        elif server.has_loaded:
            path = model_path(server.model, "/unload")
            say(f"{api.post(path, timeout_s=UNLOAD_TIMEOUT_S)['message']}: {server.model}")
    except Failure as failure:
        show_failure(failure)
