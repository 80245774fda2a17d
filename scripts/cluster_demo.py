"""`make cluster-demo`: a cluster of two nodes on this machine, a model on both, and the loss of one while it answers.

Invariant: when it ends, however it ends, no process and no file of it is left but the downloaded model.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from foundrylocal.cli.client import HttpClient, ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.engine.ray.node.command import session_folder

ROOT = Path(__file__).resolve().parent.parent
MODEL = "SmolLM2-135M-Instruct-Q4_1-GGUF"
HEAD, SECOND = "127.0.1.1", "127.0.1.2"
# Room for both replicas on one node, beside the reserve.
NODE_MB = 1400
START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 30.0
CLIENTS = 8
# The node is killed after as many whole answers, and as many more are waited for.
ANSWERS = 16


class DemoFailed(Exception):
    """What did not come, in one line."""


@dataclass
class Program:
    """A started `foundrylocal`; what it prints is kept in `output`."""

    process: subprocess.Popen[bytes]
    output: Path

    def wait_line(self, words: str) -> str:
        """The first line with these words. Raises DemoFailed when the program ends first or takes too long."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            lines = self.output.read_text("utf-8", "replace").splitlines()
            if found := next((line for line in lines if words in line), None):
                return found
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed(f"'{words}' was not printed, but: {' | '.join(lines[-10:])}")
            time.sleep(0.1)

    def family(self) -> list[psutil.Process]:
        """It and everything that it started."""
        try:
            process = psutil.Process(self.process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.Error:
            return []

    def kill_all(self) -> int:
        """End it and all its processes at once, as when the machine loses power; their number."""
        family = self.family()
        for one in family:
            try:
                one.kill()
            except psutil.Error:
                continue
        self.process.wait(END_TIMEOUT_S)
        return len(family)


@contextmanager
def program(home: Path, *arguments: str, **settings: str) -> Iterator[Program]:
    """Run `foundrylocal` with a home of its own; ended in order, and by force if that takes too long."""
    home.mkdir(parents=True, exist_ok=True)
    output = home / f"{'-'.join(arguments[:2])}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command(*arguments), env=environment(home, **settings), stdout=file, stderr=subprocess.STDOUT
        )
    started = Program(process, output)
    family: list[psutil.Process] = []
    try:
        yield started
    finally:
        family = started.family()
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            started.kill_all()
        _, alive = psutil.wait_procs(family, timeout=5.0)
        for one in alive:
            one.kill()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "foundrylocal", *arguments]


def environment(home: Path, **settings: str) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("FOUNDRYLOCAL_", "RAY_"))
    }
    return {**kept, "FOUNDRYLOCAL_HOME": str(home), **settings}


def run(home: Path, *arguments: str, text: str | None = None) -> str:
    """One command of this home; what it printed. Raises DemoFailed."""
    done = subprocess.run(
        command(*arguments),
        env=environment(home),
        input=text,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
    )
    if done.returncode:
        raise DemoFailed(f"foundrylocal {' '.join(arguments[:2])} failed: {done.stderr.strip()}")
    return done.stdout


@dataclass
class Chats:
    """Clients that ask one question after the other; each answer is counted by how it ended."""

    client: HttpClient
    ends: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    longest_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask_on, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(START_TIMEOUT_S)

    def _ask_on(self, client: int) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            began = time.monotonic()
            tokens, end = self._ask(f"Client {client}, question {number}: tell me about the sea.")
            with self._lock:
                self.ends[end] += 1
                self.tokens += tokens
                self.longest_s = max(self.longest_s, time.monotonic() - began)

    def _ask(self, question: str) -> tuple[int, str]:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": 60,
            "stream": True,
        }
        tokens, is_whole, error = 0, False, ""
        try:
            for data in self.client.events("POST", "/v1/chat/completions", body):
                if data == "[DONE]":
                    is_whole = True
                elif "error" in (event := json.loads(data)):
                    error = str(event["error"].get("code") or event["error"].get("type"))
                else:
                    tokens += 1
        except Failure as failure:
            error = failure.what
        if is_whole and not error:
            return tokens, "whole"
        return tokens, f"{'lost after its first token' if tokens else 'refused'} ({error or 'broken off'})"


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="fl-demo-"))
    try:
        with ExitStack() as stack:
            _demonstrate(folder, stack)
        return 0
    except (DemoFailed, Failure) as failure:
        print(f"\nThe demonstration failed: {failure}", file=sys.stderr)
        return 1
    finally:
        for home in folder.iterdir():  # a node that was killed could not remove Ray's files
            shutil.rmtree(session_folder(home / "state"), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        print("Everything of the demonstration has ended.")


def _demonstrate(folder: Path, stack: ExitStack) -> None:
    home, second_home = folder / "head", folder / "second"
    head = f"{HEAD}:{_free_port(HEAD)}"
    _say(f"1. The head of a cluster at {head}")
    arguments = ("cluster", "head", "--address", HEAD, "--port", head.rpartition(":")[2])
    stack.enter_context(program(home, *arguments, "--memory-mb", str(NODE_MB))).wait_line("head is ready")
    _say(f"2. A second node at {SECOND}, with the head's token")
    run(second_home, "cluster", "token", "--set", text=run(home, "cluster", "token"))
    join = ("cluster", "join", head, "--address", SECOND, "--memory-mb", str(NODE_MB))
    second = stack.enter_context(program(second_home, *join))
    second.wait_line("has joined")

    _say("3. The service, and a model with two replicas")
    settings = {"FOUNDRYLOCAL_CACHE_DIR": str(ROOT / ".test-models"), "FOUNDRYLOCAL_REPLICAS": "2"}
    serving = stack.enter_context(program(home, "serve", "--port", "0", **settings, FOUNDRYLOCAL_PORT="0"))
    api = ManagementClient(serving.wait_line("listening on").rpartition(" ")[2])
    answer = api.post("/start", {"model_name": MODEL, "port": 0}, timeout_s=2 * START_TIMEOUT_S)
    _wait("two replicas", lambda: len(_ready(api)) == 2)
    _show(api)

    _say(f"4. {CLIENTS} clients chat; after {ANSWERS} answers the second node is killed")
    chats = Chats(HttpClient(f"http://127.0.0.1:{answer['port']}", answer["api_key"]))
    with chats.going_on():
        _wait(f"{ANSWERS} answers", lambda: chats.ends["whole"] >= ANSWERS)
        before, lost_at = chats.ends["whole"], time.monotonic()
        _say(f"   {second.kill_all()} processes of {SECOND} killed, all at once")
        _wait("another answer", lambda: chats.ends["whole"] > before)
        _say(f"   the next whole answer came after {time.monotonic() - lost_at:.1f} s")
        _wait(
            "the second replica on another node", lambda: len(_ready(api)) == 2 and SECOND not in _nodes(api)
        )
        _say(f"   after {time.monotonic() - lost_at:.1f} s the model has two replicas again")
        _wait(f"{ANSWERS} answers more", lambda: chats.ends["whole"] >= before + ANSWERS)
    for end, count in chats.ends.most_common():
        _say(f"   {count} answers: {end}")
    _say(f"   the slowest took {chats.longest_s:.1f} s")

    _say("5. Afterwards")
    _show(api)


def _ready(api: ManagementClient) -> list[dict[str, Any]]:
    return [
        one for one in api.get("/cluster")["replicas"] if one["state"] == "ready" and not one["is_suspect"]
    ]


def _nodes(api: ManagementClient) -> set[str]:
    """Where ready replicas are."""
    return {one["node"] for one in _ready(api)}


def _show(api: ManagementClient) -> None:
    answer = api.get("/cluster")
    for node in sorted(answer["nodes"], key=lambda one: str(one["name"])):
        models = [
            f"{one['model']} ({one['state']})" for one in answer["replicas"] if one["node"] == node["name"]
        ]
        _say(f"   {node['name']}: {node['state']}, {', '.join(models) or 'no model'}")


def _wait(what: str, is_met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_met():
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what} did not come within {START_TIMEOUT_S:g} s")
        time.sleep(0.2)


def _free_port(address: str) -> int:
    with socket.socket() as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
