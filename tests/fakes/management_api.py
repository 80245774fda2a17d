"""A management API and gateway that say what a test scripted: the edge of the CLI, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What the fixture `run` gives: exit code, stdout and stderr of one verb.
Run = Callable[..., tuple[int, str, str]]

BASE = "/iblink/v1/foundry-local"
MODEL = {
    "model_id": "org/Tiny-GGUF",
    "simple_name": "Tiny-GGUF",
    "size": "1M",
    "quantization": "Q8_0",
    "is_downloaded": True,
    "is_loaded": False,
    "file_size_bytes": 1048576,
    "file_size_formatted": "1.0 MB",
}
# What /models/{name} adds to it.
DETAILS = MODEL | {
    "memory": {
        "fits_now": True,
        "is_lower_bound": False,
        "total_formatted": "2.0 MB",
        "available_bytes": 8 << 20,
        "context_size": 4096,
    }
}
HEALTH = {"status": "healthy", "service": "foundry-local-api", "foundry_local": {"status": "stopped"}}


@dataclass
class Script:
    """Answers by `METHOD path`: a body, a (status, body) pair, a list of events, or raw bytes."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.answers = {
            f"GET {BASE}/health": HEALTH,
            f"GET {BASE}/models": {"models": [MODEL], "total_count": 1},
            f"GET {BASE}/models/{MODEL['simple_name']}": DETAILS,
            f"GET {BASE}/models/loaded": {"models": [], "total_count": 0},
            f"POST {BASE}/plan": {"fits": True, "refusal": None},
            **self.answers,
        }

    def on(self, call: str, answer: object) -> None:
        method, path = call.split(" ")
        self.answers[f"{method} {path if path.startswith('/v1') else BASE + path}"] = answer


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            call = f"{self.command} {self.path.split('?')[0]}"
            script.calls.append((f"{self.command} {self.path.removeprefix(BASE)}", body))
            script.headers.append({name.lower(): value for name, value in self.headers.items()})
            missing = {"error": {"message": f"No endpoint {call}", "type": "x", "code": "endpoint_not_found"}}
            answer = script.answers.get(call, (404, missing))
            if isinstance(answer, Callable):
                answer = answer(body)
            status, data = answer if isinstance(answer, tuple) else (200, answer)
            is_stream = isinstance(data, list)
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream" if is_stream else "application/json")
            self.end_headers()
            if is_stream:
                for event in data:
                    text = event if isinstance(event, str) else json.dumps(event)
                    self.wfile.write(f": comment\n\ndata: {text}\nid: 1\n\n".encode())
                    self.wfile.flush()
            else:
                self.wfile.write(data if isinstance(data, bytes) else json.dumps(data).encode())

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # clients that come at the same time are not refused


@contextmanager
def scripted(script: Script) -> Iterator[Script]:
    server = _Server(("127.0.0.1", 0), _handler(script))
    script.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def running(url: str, model: dict[str, Any] = MODEL) -> dict[str, Any]:
    """The answer of /status with the gateway at `url`."""
    return {
        "is_running": True,
        "status": "running",
        "current_model": model["simple_name"],
        "loaded_model_id": model["model_id"],
        "port": 1234,
        "health": {"is_healthy": True, "endpoint": f"{url}/v1", "api_key": "fl-secret"},
    }


STOPPED: dict[str, Any] = {
    "is_running": False,
    "status": "stopped",
    "current_model": None,
    "loaded_model_id": None,
    "port": None,
    "health": {"is_healthy": False, "endpoint": None},
}


def chunks(*words: str, reason: str = "stop") -> list[Any]:
    """A streamed chat answer as the gateway sends it."""
    frames: list[Any] = [{"choices": [{"delta": {"role": "assistant", "content": None}}]}]
    frames += [{"choices": [{"delta": {"content": word}}]} for word in words]
    frames.append({"choices": [{"delta": {}, "finish_reason": reason}]})
    frames.append({"choices": [], "usage": {"completion_tokens": len(words)}})
    return [*frames, "[DONE]"]
