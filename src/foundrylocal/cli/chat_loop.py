"""A chat at a terminal: reads questions and commands, and answers until it is left.

A question is one line, or several between lines that begin and end with three quotation marks. A line that is a slash
and a word is a command; one that is not known is refused, so that no mistyped command becomes a question.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches

from foundrylocal.cli.answer_writer import answer_writer
from foundrylocal.cli.chat import Answer, Conversation
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.image_file import data_url
from foundrylocal.cli.render import facts, say, show_failure
from foundrylocal.cli.values import parse_pairs, written
from foundrylocal.kit.sentences import sentence

PROMPT, MORE_PROMPT, QUOTES = "> ", "... ", '"""'
HELP = """/bye                  quit; so does Ctrl-D
/clear                start a new conversation
/set                  show the settings of this chat
/set system TEXT      set the system prompt
/set temperature 0.2  set how answers are sampled: temperature, top_p, top_k,
                      min_p, max_tokens, seed, stop, repeat_penalty,
                      presence_penalty, frequency_penalty; null removes one
/image FILE           send an image with the next question
/help                 show this help
\"\"\"                   begin a question of several lines; \"\"\" ends it
Ctrl-C                stop an answer"""
_HINT = "/bye quits, /help lists the commands, Ctrl-C stops an answer."
# What to do instead of commands that Ollama's chat has.
_INSTEAD = {
    "show": "foundrylocal show MODEL, in another terminal; /set shows the settings of this chat",
    "load": "/bye, then foundrylocal run MODEL",
    "save": "foundrylocal set MODEL system_prompt=TEXT temperature=0.2 keeps settings for all chats",
    "system": "/set system TEXT",
    "temperature": "/set temperature 0.2",
    "reset": "/clear",
    "new": "/clear",
}
# Words after /set that Ollama has and that need no setting here.
_ALWAYS_SO = {
    "verbose": "The figures of each answer are always shown.",
    "quiet": "The figures of each answer are always shown.",
    "wordwrap": "Long lines are always broken between words.",
    "nowordwrap": "Long lines are always broken between words.",
    "history": "The lines of a chat are kept until it ends, and never on disk.",
    "nohistory": "The lines of a chat are kept until it ends, and never on disk.",
}
_COMMAND = re.compile(r"/(\w{1,40}|\?)(?:\s(.*))?", re.DOTALL)


class ChatLoop:
    """One chat; `read` gets a line after a prompt, as `input` does."""

    def __init__(
        self, conversation: Conversation, images: list[str], read: Callable[[str], str] = input
    ) -> None:
        self._conversation = conversation
        self._images = images
        self._read = read
        self._commands: dict[str, Callable[[str], None]] = {
            "clear": self._clear,
            "set": self._set,
            "image": self._image,
            "help": lambda rest: say(HELP),
            "?": lambda rest: say(HELP),
        }

    def run(self) -> None:
        """Answer questions until /bye, end of input, or Ctrl-C twice at the prompt."""
        _enable_editing()
        say(f"\nType a message. {_HINT}")
        is_warned = False
        while True:
            try:
                text = self._read_text()
            except EOFError:
                say()
                return
            except KeyboardInterrupt:
                say()
                if is_warned:
                    return
                is_warned = True
                say(f"{_HINT} Ctrl-C again also quits.")
                continue
            is_warned = False
            if text in ("/bye", "/exit", "/quit"):
                return
            if text:
                self._take_turn(text)

    def _read_text(self) -> str:
        """A line, or several between quotation marks."""
        line = self._read(PROMPT).strip()
        if not line.startswith(QUOTES):
            return line
        lines = [line.removeprefix(QUOTES)]
        while not (lines[-1].endswith(QUOTES)):
            lines.append(self._read(MORE_PROMPT))
        lines[-1] = lines[-1].removesuffix(QUOTES)
        text = "\n".join(lines).strip()
        # Quoted, a slash is part of the question.
        return f" {text}" if text.startswith("/") else text

    def _take_turn(self, text: str) -> None:
        try:
            if (command := _COMMAND.fullmatch(text)) is not None:
                self._run(command[1], (command[2] or "").strip())
            else:
                self._ask(text.strip())
        except Failure as failure:
            # The chat continues: a crashed worker restarts in a moment.
            show_failure(failure)

    def _run(self, name: str, rest: str) -> None:
        if name not in self._commands:
            raise Failure(
                f"There is no command /{name}",
                f"A question that begins with a slash is written {QUOTES}/{name} ...{QUOTES}",
                _INSTEAD.get(name, "/help lists the commands"),
            )
        self._commands[name](rest)

    def _ask(self, text: str) -> None:
        images = list(self._images)
        try:
            answer = self._conversation.ask(text, answer_writer(sys.stdout), images)
        except Failure:
            say()
            raise
        self._images.clear()  # after a failure they go with the next question
        say()
        say(described(answer))

    def _clear(self, rest: str) -> None:
        self._conversation.clear()
        say("Conversation cleared.")

    def _image(self, rest: str) -> None:
        if not rest:
            raise Failure("Which image?", "Write /image FILE.", "/help lists the commands")
        self._images.append(data_url(rest))
        say("The image will be sent with your next question.")

    def _set(self, rest: str) -> None:
        name, _, value = rest.removeprefix("parameter ").strip().partition(" ")
        conversation = self._conversation
        if not name:
            shown = [(key, written(one)) for key, one in conversation.options.items()]
            facts([("system", conversation.system or "not set"), *shown])
        elif name in _ALWAYS_SO:
            say(_ALWAYS_SO[name])
        elif not value.strip():
            raise Failure(f"Which value for {name}?", "Write /set NAME VALUE.", "/help lists the names")
        elif name in ("system", "system_prompt"):
            text = _unquoted(value.strip())
            conversation.system = None if text == "null" else text
            say("The system prompt is set." if conversation.system else "The system prompt is removed.")
        else:
            self._set_option(name, value.strip())

    def _set_option(self, name: str, text: str) -> None:
        value = parse_pairs([f"{name}={text}"], "temperature=0.2")[name]
        _check_option(name, value)
        if value is None:
            self._conversation.options.pop(name, None)
            say(f"{name} is removed.")
        else:
            self._conversation.options[name] = value
            say(f"{name} is {written(value)}.")


def _unquoted(text: str) -> str:
    """The text without the quotation marks around all of it."""
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return text[1:-1] if is_quoted else text


def _check_option(name: str, value: object) -> None:
    """Raise Failure unless a request may say this."""
    from pydantic import ValidationError

    from foundrylocal.wire.presets import RequestDefaults

    try:
        RequestDefaults.model_validate({name: value})
    except ValidationError as error:
        is_unknown = name not in RequestDefaults.model_fields
        nearest = get_close_matches(name, RequestDefaults.model_fields, n=3)
        why = f"Did you mean {' or '.join(nearest)}?" if nearest else None
        if not is_unknown:
            why = sentence(error.errors(include_url=False)[0]["msg"])
        what = f"There is no setting '{name}'" if is_unknown else f"{name} cannot be {written(value)}"
        raise Failure(what, why, "/help lists the names") from None


def described(answer: Answer) -> str:
    """The figures of an answer, for people."""
    return f"({'stopped, ' if answer.is_stopped else ''}{answer.figures()})"


def _enable_editing() -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - its import gives input() line editing and history
