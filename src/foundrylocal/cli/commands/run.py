"""`foundrylocal run`: start everything needed, chat, and stop what was started.

Invariant: the command stops what it started, unless --keep is given, and leaves running what ran before. With a
question of the caller's own, standard output gets the answer and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Annotated, Any, TextIO

import typer

from foundrylocal.catalog.starter import STARTER_MODEL
from foundrylocal.cli.chat import Conversation
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.operations import RunningServer, ensure_running
from foundrylocal.cli.render import clean, facts, say, show_failure
from foundrylocal.cli.service import reach

# A model with 135 million parameters answers this one well, and the same way each time.
QUESTION = "Tell me in one sentence what a cat is."
QUESTION_OPTIONS = {"temperature": 0, "max_tokens": 100}
# A small model may repeat itself until its context is full.
ONE_SHOT_TOKENS = 1024
_PROMPT = "> "
_HELP = "/bye quits, /clear forgets the conversation, Ctrl-C stops an answer."


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The command line; `port` is the management API's and `server_port` the FoundryLocal server's."""

    model: str
    prompt: str | None
    is_once: bool
    port: int | None
    server_port: int | None
    keep: bool
    system: str | None = None
    sampling: dict[str, Any] = field(default_factory=dict)

    @property
    def is_sample(self) -> bool:
        """Whether it only shows that everything works, and with what to go on."""
        return self.is_once and self.prompt is None


def command(
    model: Annotated[str, typer.Argument(help="Name or id of a model.")] = STARTER_MODEL,
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="Ask this and quit; without it, chat at a terminal or read the question from stdin."
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Quit after one answer; without PROMPT, ask a sample question.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the service to use or start; 0 starts a separate one."),
    ] = None,
    server_port: Annotated[
        int | None,
        typer.Option(
            "--server-port", min=0, max=65535, help="Port of the FoundryLocal server; 0 picks any free port."
        ),
    ] = None,
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
) -> None:
    """Chat with a model; start and download what is needed.

    With a question, standard output gets the answer alone, and standard error everything else.
    """
    given = {"temperature": temperature, "max_tokens": max_tokens}
    sampling = {name: value for name, value in given.items() if value is not None}
    _run(RunOptions(model, prompt, once, port, server_port, keep, system, sampling))


def _run(options: RunOptions) -> None:
    # Read the question first: an incomplete command line must not start or download anything.
    question = _question(options)
    out = sys.stdout
    with _exit_on_signals(), _narration(question, options), reach(options.port, keep=options.keep) as service:
        server = ensure_running(service.api, options.model, options.server_port)
        try:
            is_ending = service.is_ours or server.is_ours
            if question is None:
                _show_access(server, options)
                _chat(Conversation(server, options.system, options.sampling))
                _show_end(is_ending, options)
            else:
                _ask_once(Conversation(server, options.system, options.sampling), question, options, out)
                if options.is_sample:
                    _show_access(server, options)
                    _show_next(is_ending, server, options)
        finally:
            if server.is_ours and not options.keep and not service.is_ours:
                _stop(service.api)


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
        say(f"\n{_PROMPT}{question}")
    limits = QUESTION_OPTIONS if options.is_sample else {"max_tokens": ONE_SHOT_TOKENS} | options.sampling
    answer = conversation.ask(question, partial(_write, out), **limits)
    print(file=out, flush=True)
    if answer.is_stopped:
        raise KeyboardInterrupt
    if not answer.text:
        raise Failure(
            "The model returned an empty answer",
            None,
            "run the same command again, or try another model: foundrylocal list --all",
        )
    say(f"({answer.figures()})")
    if answer.tokens >= limits["max_tokens"]:
        say("The answer was cut off there; --max-tokens allows more.")


def _chat(conversation: Conversation) -> None:
    """Answer questions until /bye, end of input, or Ctrl-C twice at the prompt."""
    _enable_editing()
    say(f"\nType a message. {_HELP}")
    is_warned = False
    while True:
        try:
            line = input(_PROMPT).strip()
        except EOFError:
            say()
            return
        except KeyboardInterrupt:
            say()
            if is_warned:
                return
            is_warned = True
            say(f"{_HELP} Ctrl-C again also quits.")
            continue
        is_warned = False
        if line == "/bye":
            return
        if line:
            _take_turn(conversation, line)


def _take_turn(conversation: Conversation, line: str) -> None:
    if line == "/clear":
        conversation.clear()
        say("The conversation is forgotten.")
        return
    if line.startswith("/") and " " not in line:
        say(_HELP)
        return
    try:
        answer = conversation.ask(line, partial(_write, sys.stdout))
    except Failure as failure:
        # The chat continues: a crashed worker restarts in a moment.
        say()
        show_failure(failure)
        return
    say()
    say(f"({'stopped, ' if answer.is_stopped else ''}{answer.figures()})")


def _write(out: TextIO, text: str) -> None:
    out.write(clean(text))
    out.flush()


def _enable_editing() -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - its import gives input() line editing and history


def _show_access(server: RunningServer, options: RunOptions) -> None:
    say()
    facts([("Model", server.model), ("Endpoint", server.endpoint), ("API key", server.key)])
    say()
    say(_curl(server))


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


def _stop(api: ManagementClient) -> None:
    try:
        say(str(api.post("/stop").get("message", "")))
    except Failure as failure:
        show_failure(failure)
