"""A soak of the real engine: every kind of request, clients that leave, workers that die, models that come and go.

Invariant: each answer is one that the contract allows, and each stream ends; anything else ends the run with it.
"""

from __future__ import annotations

import json
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from tests.running import BASE_MODEL, CHAT_MODEL, Service, eventually

# What a request may meet beside its answer while workers are killed and models change.
TROUBLE = {
    (409, "model_unloaded"),
    (429, "queue_full"),
    (502, "worker_crashed"),
    (503, "model_loading"),
    (503, "server_shutting_down"),
    (500, "server_start_failed"),
}
LIFECYCLE_TROUBLE = {
    *((409, code) for code in ("operation_in_progress", "operation_cancelled", "server_already_running")),
    *((409, code) for code in ("model_in_use", "model_unloaded")),
    *((500, code) for code in ("server_start_failed", "download_failed")),
    *((503, code) for code in ("model_loading", "server_shutting_down")),
    (404, "model_not_downloaded"),
    (412, "model_not_downloaded"),
}
HEALTH_LIMIT_S = 0.5
MEMORY_GROWTH_LIMIT_MB = 40
SLOTS = 4
_QUESTION = [{"role": "user", "content": "Count from one to ten."}]
_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "count": {"type": "integer", "maximum": 9}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": _SCHEMA}}

# Path and body of each kind of request; those that stream are also left in the middle.
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": _QUESTION, "max_tokens": 24}),
    "chat stream": ("/v1/chat/completions", {"messages": _QUESTION, "max_tokens": 24, "stream": True}),
    "chat n=2": ("/v1/chat/completions", {"messages": _QUESTION, "max_tokens": 8, "n": 2}),
    "schema": ("/v1/chat/completions", {"messages": _QUESTION, "max_tokens": 64, "response_format": _FORMAT}),
    "completion": ("/v1/completions", {"prompt": "1, 2, 3,", "max_tokens": 16}),
    "completion stream": ("/v1/completions", {"prompt": "1, 2, 3,", "max_tokens": 16, "stream": True}),
    "responses": ("/v1/responses", {"input": "Say hello.", "max_output_tokens": 16}),
    "responses stream": ("/v1/responses", {"input": "Say hello.", "max_output_tokens": 16, "stream": True}),
    "messages": ("/v1/messages", {"messages": _QUESTION, "max_tokens": 16, "model": CHAT_MODEL}),
    "messages stream": (
        "/v1/messages",
        {"messages": _QUESTION, "max_tokens": 16, "stream": True, "model": CHAT_MODEL},
    ),
    "tokenize": ("/tokenize", {"content": "How many tokens?"}),
    "long prompt": ("/v1/completions", {"prompt": "red green blue " * 300, "max_tokens": 4}),
}
_STREAM_ENDS = (
    "data: [DONE]",
    '"type":"message_stop"',
    "response.completed",
    "response.incomplete",
    '"error"',
)


@dataclass
class Soak:
    """One run; `counts` says what happened and how often."""

    service: Service
    third_model: str
    stop: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    slowest_health_s: float = 0.0
    resident_mb: list[float] = field(default_factory=list)

    # --- people who use it ------------------------------------------------------------------------------

    def chat(self, seed: int) -> None:
        """Ask at random until the end; now and then leave in the middle of an answer."""
        chance = random.Random(seed)
        while not self.stop.is_set():
            try:
                with self.service.gateway() as gateway:
                    for _ in range(20):
                        if self.stop.is_set():
                            return
                        self._ask(gateway, chance)
            except (httpx.TransportError, KeyError, AttributeError, TypeError):
                # The server is stopped: its port is closed and /status names no endpoint.
                self.counts["no server"] += 1
                self.stop.wait(0.2)

    def _ask(self, gateway: httpx.Client, chance: random.Random) -> None:
        name = chance.choice(list(REQUESTS))
        path, body = REQUESTS[name]
        if chance.random() < 0.2:
            body = {**body, "model": chance.choice((CHAT_MODEL, BASE_MODEL))}
        with gateway.stream("POST", path, json=body, timeout=120) as answer:
            if answer.status_code == 200 and body.get("stream") and chance.random() < 0.3:
                next(answer.iter_lines(), None)
                self.counts[f"{name} left"] += 1
                return
            text = answer.read().decode()
        if answer.status_code == 200 and body.get("stream"):
            assert any(end in text[-2000:] for end in _STREAM_ENDS), f"{name} did not end: {text[-500:]}"
            self.counts[f"{name} {'error event' if _has_error(text) else 'ok'}"] += 1
        elif answer.status_code == 200:
            self._check_whole(name, json.loads(text))
            self.counts[f"{name} ok"] += 1
        else:
            outcome = (answer.status_code, json.loads(text)["error"].get("code", ""))
            statuses = {status for status, _ in TROUBLE}  # Anthropic's errors have no code
            is_known = outcome[0] in statuses if path == "/v1/messages" else outcome in TROUBLE
            assert is_known, f"{name}: {outcome}: {text}"
            self.counts[f"{name} {outcome[0]}"] += 1

    def _check_whole(self, name: str, body: dict[str, Any]) -> None:
        if name == "schema" and body["choices"][0]["finish_reason"] == "stop":
            said = json.loads(body["choices"][0]["message"]["content"])
            assert said["colour"] in ("red", "green") and said["count"] <= 9, body

    # --- people who run it ------------------------------------------------------------------------------

    def manage(self, seed: int) -> None:
        """Switch, load, unload, stop and start."""
        calls: list[tuple[str, dict[str, Any] | None]] = [
            *[("switch-model", {"model_name": name}) for name in (CHAT_MODEL, BASE_MODEL, CHAT_MODEL)],
            *[(f"models/{BASE_MODEL}/{verb}", None) for verb in ("load", "unload")],
            ("models/unload-all", None),
            ("stop", None),
        ]
        chance = random.Random(seed)
        with self._manager() as http:
            while not self.stop.wait(chance.uniform(4, 10)):
                call, body = chance.choice(calls)
                self._count(call.rpartition("/")[2], http.post(f"/{call}", json=body))
                if http.get("/status").json()["status"] in ("stopped", "error"):
                    self._count("start", http.post("/start", json={"model_name": CHAT_MODEL}))

    def keep_library(self, seed: int) -> None:
        """Download, verify and delete one model again and again."""
        path, chance = f"/models/{self.third_model}", random.Random(seed)
        with self._manager() as http:
            while not self.stop.wait(chance.uniform(0.5, 2)):
                self._count("download", http.post(f"{path}/download"))
                self._count("verify", http.post(f"{path}/verify"))
                self._count("delete", http.delete(path))

    def _count(self, what: str, answer: httpx.Response) -> None:
        code = "" if answer.is_success else answer.json()["error"]["code"]
        outcome = (answer.status_code, code)
        assert answer.is_success or outcome in LIFECYCLE_TROUBLE, f"{what}: {outcome}: {answer.text}"
        self.counts[f"{what} {answer.status_code}"] += 1

    # --- fate -------------------------------------------------------------------------------------------

    def harm(self, seed: int) -> None:
        """Kill a worker, or stop one so that it no longer answers."""
        chance = random.Random(seed)
        while not self.stop.wait(chance.uniform(15, 30)):
            workers = self.service.workers()
            if workers:
                how = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP))
                with suppress(psutil.NoSuchProcess):
                    chance.choice(workers).send_signal(how)
                    self.counts[f"worker {how.name}"] += 1

    def watch(self) -> None:
        """Measure the service's memory, and how long /health of the management API takes."""
        process = psutil.Process(self.service.process.pid)
        with self._manager() as http:
            while not self.stop.wait(0.25):
                began = time.monotonic()
                assert http.get("/health").status_code == 200
                took = time.monotonic() - began
                self.slowest_health_s = max(self.slowest_health_s, took)
                self.counts["health over its limit"] += took > HEALTH_LIMIT_S
                self.resident_mb.append(process.memory_info().rss / 1024 / 1024)

    def _manager(self) -> httpx.Client:
        return httpx.Client(base_url=self.service.base, timeout=180)


def _has_error(stream: str) -> bool:
    return '"error":{' in stream or "event: error" in stream


def soak(service: Service, *, third_model: str, seconds: float, seed: int = 1, clients: int = 6) -> Soak:
    """Run all of it at once; asserts that afterwards nothing is stuck and nothing is left."""
    run = Soak(service, third_model)
    service.start()
    jobs: list[Callable[[], None]] = [
        *(lambda number=number: run.chat(seed + number) for number in range(clients)),
        lambda: run.manage(seed),
        lambda: run.keep_library(seed),
        lambda: run.harm(seed),
        run.watch,
    ]
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(job) for job in jobs]
        done, _ = wait(running, timeout=seconds, return_when=FIRST_EXCEPTION)
        run.stop.set()
        for job in done:
            job.result()
        _, stuck = wait(running, timeout=200)
        assert not stuck, "a call never returned"
        for job in running:
            job.result()
    _check_aftermath(run)
    return run


def _check_aftermath(run: Soak) -> None:
    service = run.service
    settled = ("stopped", "running", "error")
    eventually("the state is settled", lambda: service.status()["status"] in settled, 60)
    assert service.post("/stop", timeout=60).status_code == 200
    eventually("no worker is left", lambda: service.workers() == [])
    service.start()
    _check_slots(service)
    assert service.post("/stop").status_code == 200
    eventually("no worker is left after the last stop", lambda: service.workers() == [])
    third = len(run.resident_mb) // 3
    early, late = (
        statistics.median(part) for part in (run.resident_mb[third : 2 * third], run.resident_mb[-third:])
    )
    run.counts["MB of memory at half time"], run.counts["MB of memory at the end"] = round(early), round(late)
    assert late - early < MEMORY_GROWTH_LIMIT_MB, f"memory grew from {early:.0f} to {late:.0f} MB"


def _check_slots(service: Service) -> None:
    """All slots are free: as many streams as there are have begun before the first of them ends."""
    begun = threading.Barrier(SLOTS, timeout=60)

    def stream() -> None:
        body = {"messages": _QUESTION, "max_tokens": 200, "stream": True, "ignore_eos": True}
        with (
            service.gateway() as gateway,
            gateway.stream("POST", "/v1/chat/completions", json=body) as answer,
        ):
            assert answer.status_code == 200, answer.read()
            for number, _ in enumerate(answer.iter_lines()):
                if number == 4:
                    begun.wait()

    with ThreadPoolExecutor(SLOTS) as pool:
        for job in [pool.submit(stream) for _ in range(SLOTS)]:
            job.result()
