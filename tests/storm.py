"""Many clients at once, on purpose: a storm of lifecycle calls, and chats that go on through switches.

Invariant: what is counted as allowed is the contract's own table; anything else ends the run with the answer.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import httpx
import psutil

from tests.running import BASE_MODEL, CHAT_MODEL, Service, eventually

# What each call may be answered with, whatever the state it meets.
ALLOWED: dict[str, set[tuple[int, str]]] = {
    "start": {
        (200, ""),
        (409, "server_already_running"),
        (409, "operation_in_progress"),
        (409, "operation_cancelled"),
    },
    "start-stream": {
        (200, ""),
        (409, "server_already_running"),
        (409, "operation_in_progress"),
        (409, "operation_cancelled"),
    },
    "stop": {(200, "")},
    "switch-model": {(200, ""), (409, "operation_in_progress"), (409, "operation_cancelled")},
    "models/unload-all": {(200, ""), (409, "operation_in_progress"), (409, "operation_cancelled")},
}
THINKING_S = 0.3
# Of each of these there has to be one, however slow the machine is; the storm lasts that much longer at most.
WANTED = frozenset({"start 200", "stop 200", "switch-model 200"})
MAX_MORE_S = 60.0
SETTLED = ("stopped", "running", "error")


def _outcome(answer: httpx.Response) -> tuple[int, str]:
    """The status and the error's code; of a stream the code of its last event."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        last = json.loads(lines[-1][6:])
        ends = [line for line in lines if json.loads(line[6:])["type"] != "progress"]
        assert len(ends) == 1, f"a stream ended {len(ends)} times: {answer.text}"
        return (200, "") if last["type"] == "success" else (409, last["error"]["code"])
    return answer.status_code, "" if answer.is_success else answer.json()["error"]["code"]


def _client(service: Service, until: float, seed: int, calls: list[str], counts: Counter[str]) -> None:
    chance = random.Random(seed)
    pace = threading.Event()  # never set: people think between two calls
    with httpx.Client(base_url=service.base, timeout=60) as http:
        while (now := time.monotonic()) < until or (not counts.keys() >= WANTED and now < until + MAX_MORE_S):
            pace.wait(chance.uniform(0, THINKING_S))
            call = chance.choice(calls)
            body = {"model_name": chance.choice((CHAT_MODEL, BASE_MODEL))}
            has_body = call not in ("stop", "models/unload-all")
            answer = http.post(f"/{call}", json=body) if has_body else http.post(f"/{call}")
            outcome = _outcome(answer)
            assert outcome in ALLOWED[call], f"{call}: {outcome}: {answer.text}"
            counts[f"{call} {outcome[0]} {outcome[1]}".strip()] += 1


def storm(service: Service, *, clients: int, seconds: float, seed: int = 1) -> Counter[str]:
    """Call start, stop, switch and unload-all at random; asserts that all is settled and tidy after it."""
    process = psutil.Process(service.process.pid)
    service.start()
    service.post("/stop")
    before = process.num_fds()
    until = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    # A stop ends everything, so few of them leave the others something to meet.
    calls = ["stop", "stop", "models/unload-all", *["start", "start-stream", "switch-model"] * 30]
    with ThreadPoolExecutor(clients) as pool:
        jobs = [pool.submit(_client, service, until, seed + n, calls, counts) for n in range(clients)]
        done, _ = wait(jobs, seconds + 120)
        for job in done:
            job.result()
        assert len(done) == clients, "a call never returned"
    eventually("the state is settled", lambda: service.status()["status"] in SETTLED)
    assert service.post("/stop").status_code == 200
    assert service.status()["status"] == "stopped"
    eventually("no worker is left", lambda: service.workers() == [])
    folder = service.run_folder()
    if folder is not None:
        eventually("no socket is left", lambda: not list(folder.glob("**/*.sock")))
    eventually("no descriptor is left", lambda: process.num_fds() <= before + 2, 20)
    assert service.start()["success"] is True, "the next operation succeeds with no restart"
    service.post("/stop")
    return counts


def _chatter(ask: Callable[[int], None], stop: threading.Event) -> int:
    count = 0
    while not stop.is_set():
        ask(count)
        count += 1
    return count


def chats_through_switches(service: Service, *, switches: int, clients: int, tokens: int = 8) -> int:
    """Chat without a pause while the model changes; asserts that no chat fails, and returns how many there were."""
    service.start()
    stop = threading.Event()
    with service.gateway() as gateway:

        def ask(number: int) -> None:
            body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": tokens}
            if number % 2:
                answer = gateway.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
                assert answer.json()["choices"][0]["finish_reason"] in ("stop", "length"), answer.text
            else:
                answer = gateway.post("/v1/chat/completions", json=body | {"stream": True})
                assert answer.status_code == 200, answer.text
                assert answer.text.rstrip().endswith("data: [DONE]"), answer.text
                assert '"error"' not in answer.text, answer.text

        with ThreadPoolExecutor(clients) as pool:
            jobs = [pool.submit(_chatter, ask, stop) for _ in range(clients)]
            try:
                for number in range(switches):
                    model = (BASE_MODEL, CHAT_MODEL)[number % 2]
                    answer = service.post("/switch-model", {"model_name": model}, timeout=120)
                    assert answer.status_code == 200, answer.text
                    broken = next((job for job in jobs if job.done()), None)
                    if broken is not None:
                        broken.result()
            finally:
                stop.set()
            return sum(job.result() for job in jobs)
