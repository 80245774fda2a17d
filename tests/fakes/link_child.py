"""A link that speaks the protocol of the real one, with nodes that are made up and a worker that only is healthy.

Run as `python link_child.py STATE`, where STATE is a JSON file that a test writes: `nodes` (as the link lists them),
and `answers` to a launch by node. It appends each command that it gets to `STATE.commands`. A line of STATE.events,
once the file is there, is sent as an event.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAUSE_S = 0.02
_lock = threading.Lock()


def send(message: dict[str, Any]) -> None:
    with _lock:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        pass


def worker() -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}"


def update(replica: str, number: int, phase: str, **facts: Any) -> None:
    send({"event": "update", "replica": replica, "update": {"number": number, "phase": phase, **facts}})


def send_events(path: Path) -> None:
    sent = 0
    while True:
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines[sent:]:
            send(json.loads(line))
        sent = len(lines)
        time.sleep(PAUSE_S)


def answer(command: dict[str, Any], state: dict[str, Any], url: str) -> dict[str, Any]:
    if command["do"] == "nodes":
        return {"nodes": state["nodes"]}
    if command["do"] == "find":
        return {"replicas": state.get("replicas", [])}
    if command["do"] == "launch":
        replica, given = command["replica"], state.get("answers", {}).get(command["node"], {})
        if not given:
            update(replica, 1, "files", share=0.5)
            address = {"url": url, "key": "k" * 43, "incarnation": 1}
            update(replica, 2, "ready", share=1.0, address=address, pid=1, memory_bytes=10)
        return dict(given)
    if command["do"] == "kill":
        send({"event": "lost", "replica": command["replica"], "reason": "The process of the replica ended."})
    if command["do"] == "stop":
        update(command["replica"], 9, "stopped")
    return {}


def main() -> None:
    path = Path(sys.argv[1])
    order = json.loads(sys.stdin.readline())
    state = json.loads(path.read_text())
    if "failed" in state:
        send({"event": "failed", "reason": state["failed"]})
        sys.exit(1)
    url = worker()
    send({"event": "hello", "node": state["nodes"][0]["name"]})
    threading.Thread(target=send_events, args=(path.with_suffix(".events"),), daemon=True).start()
    with path.with_suffix(".commands").open("a") as log:
        log.write(json.dumps({"do": "begin", **order}) + "\n")
        log.flush()
        for line in sys.stdin:
            command = json.loads(line)
            log.write(line)
            log.flush()
            state = json.loads(path.read_text())
            if command["do"] in state.get("silent", []):
                continue
            send({"id": command["id"], "ok": answer(command, state, url)})


if __name__ == "__main__":
    main()
