"""The work that every peer gets; each function answers with what the table shows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from statistics import median
from typing import Any

import psutil
from jsonschema import Draft202012Validator

from benchmarks.peers.chat import Chat, ask
from benchmarks.peers.schemas import SCHEMAS
from benchmarks.peers.subjects import FIRST, SECOND, Peer

SWITCHES = 20
CLIENTS = 3
ANSWERS_BETWEEN = 3
LONG_PROMPT_WORDS = 2_000
RATE_TOKENS = 64
RATE_S = 15.0  # a server that spins beside a busy program takes minutes for as many tokens
NOTICE_S = 3.0
SCHEMA_TOKENS = 128


def _chat(peer: Peer, model: str, text: str | list[dict[str, str]], tokens: int, **options: Any) -> Chat:
    return ask(peer.port, peer.key, peer.names[model], text, tokens, **options)


def lost_in_switches(peer: Peer) -> str:
    """Answers lost while clients chat and the model is switched 20 times."""
    current, is_over = [FIRST], threading.Event()
    answers: list[Chat] = []

    def client(number: int) -> None:
        turn = 0
        while not is_over.is_set():
            turn += 1
            answers.append(_chat(peer, current[0], f"Client {number}, turn {turn}: tell me a story.", 24))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        for number in range(SWITCHES):
            _wait_for(answers, len(answers) + ANSWERS_BETWEEN)
            to = SECOND if number % 2 == 0 else FIRST
            current[0] = to
            peer.switch(to)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    lost = [answer for answer in answers if not answer.is_whole]
    return f"{len(lost)} of {len(answers)}"


def _wait_for(answers: list[Chat], count: int) -> None:
    deadline = time.monotonic() + 60
    while len(answers) < count and time.monotonic() < deadline:
        time.sleep(0.05)


def back_to_a_long_conversation(peer: Peer) -> str:
    """First token in s, cold and after a switch there and back."""
    peer.switch(FIRST)
    prompt = " ".join(f"word{number}" for number in range(LONG_PROMPT_WORDS // 4)) + ". Say hello."
    talk = [{"role": "user", "content": prompt}]
    cold = _chat(peer, FIRST, talk, 8)
    talk += [{"role": "assistant", "content": cold.text or "Hello."}, {"role": "user", "content": "Again."}]
    peer.switch(SECOND)
    _chat(peer, SECOND, "Hello", 8)
    peer.switch(FIRST)
    back = _chat(peer, FIRST, talk, 8)
    if not (cold.is_whole and back.is_whole):
        return f"failed: {cold.problem or back.problem}"[:60]
    return f"{cold.first_token_s:.2f} cold, {back.first_token_s:.2f} back"


def beside_a_busy_program(peer: Peer) -> str:
    """Tokens/s of one chat, quiet and beside one program that computes."""
    peer.switch(FIRST)
    quiet = _rate(peer)
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    try:
        began = time.monotonic()
        while time.monotonic() - began < NOTICE_S:
            _chat(peer, FIRST, "Count.", 8)
        beside = _rate(peer)
    finally:
        burner.kill()
        burner.wait()
    return f"{quiet:.3g} quiet, {beside:.2g} beside"


def _rate(peer: Peer) -> float:
    rates = []
    for number in range(3):
        one = _chat(peer, FIRST, f"Story {number} of the sea, long.", RATE_TOKENS, limit_s=RATE_S)
        rates.append((one.chunks - 1) / max(one.total_s - one.first_token_s, 1e-6))
    return median(rates)


def refused_for_memory(peer: Peer) -> str:
    """Requests refused when both models are asked in turn by name; there is memory for both."""
    refused = 0
    for number in range(10):
        name = peer.full_names[FIRST if number % 2 == 0 else SECOND]
        refused += ask(peer.port, peer.key, name, "Hello", 4).status != 200
    return f"{refused} of 10"


def cpu_of_a_chunk(peer: Peer) -> str:
    """Microseconds of processor time that the relaying process takes for one chunk."""
    if peer.relay_pid is None:
        return "-"
    peer.switch(FIRST)
    process = psutil.Process(peer.relay_pid)
    before, chunks = process.cpu_times(), 0
    for number in range(5):
        chunks += _chat(peer, FIRST, f"Tale {number} of the hills.", 96).chunks
    after = process.cpu_times()
    spent_s = after.user + after.system - before.user - before.system
    return f"{spent_s / max(chunks, 1) * 1e6:.0f} us"


def schemas_kept(peer: Peer) -> str:
    """Of a list of strict schemas, how many an answer keeps; the others were refused with a reason, or not kept."""
    peer.switch(FIRST)
    kept, refused = 0, 0
    for schema in SCHEMAS:
        shape = {"name": "answer", "strict": True, "schema": schema}
        options = {"response_format": {"type": "json_schema", "json_schema": shape}}
        answer = _chat(peer, FIRST, "Give an example as JSON.", SCHEMA_TOKENS, **options)
        refused += 400 <= answer.status < 500
        try:
            kept += Draft202012Validator(schema).is_valid(json.loads(answer.text))
        except ValueError:
            continue
    return f"{kept} of {len(SCHEMAS)}, {refused} refused, {len(SCHEMAS) - kept - refused} broken"


WORK = {
    "answers lost in 20 switches under load": lost_in_switches,
    "first token s, long conversation": back_to_a_long_conversation,
    "tokens/s, one busy program": beside_a_busy_program,
    "requests refused for memory that was there": refused_for_memory,
    "CPU of a relayed chunk, with its requests": cpu_of_a_chunk,
    "strict schemas kept": schemas_kept,
}
