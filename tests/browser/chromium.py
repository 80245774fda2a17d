"""A page in a real Chromium, served from this machine on a port of its own, that reports what it saw.

Invariant: the page's origin is never the service's, so every call it makes is one across origins.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

BINARIES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SCRIPT = """<!doctype html><meta charset="utf-8"><title>test</title><script type="module">
let last = Promise.resolve();
const say = (kind, ...parts) => {
  const text = parts.map((part) => part instanceof Event ? part.type : String(part)).join(' ');
  last = last.then(() => fetch('/report', {method: 'POST', body: JSON.stringify([kind, text])}));
};
for (const kind of ['log', 'error']) console[kind] = (...parts) => say(kind, ...parts);
window.addEventListener('error', (event) => say('fault', event.message));
window.addEventListener('unhandledrejection', (event) => say('fault', event.reason));
</script><script type="module">
%s
console.log('END');
</script>
"""


def binary() -> str:
    """The browser's program; skips the test when none is installed."""
    found = next((path for name in BINARIES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium is installed; scripts/install-test-tools installs it")
    return found


def arguments(profile: Path) -> list[str]:
    """How a browser is started that needs no screen, no sandbox of its own and no network."""
    return [
        binary(),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--no-proxy-server",
        f"--user-data-dir={profile}",
    ]


class _Handler(BaseHTTPRequestHandler):
    page: bytes
    reports: queue.Queue[tuple[str, str]]

    def do_GET(self) -> None:
        body = self.page if self.path == "/" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        kind, text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reports.put((kind, text))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *parts: Any) -> None:
        pass


@contextlib.contextmanager
def page(script: str, profile: Path) -> Iterator[queue.Queue[tuple[str, str]]]:
    """Run `script` as a page's module; what it logs arrives as (kind, text), ending with ("log", "END")."""
    reports: queue.Queue[tuple[str, str]] = queue.Queue()
    handler = type("Handler", (_Handler,), {"page": (_SCRIPT % script).encode(), "reports": reports})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    browser = subprocess.Popen(
        [*arguments(profile), f"http://localhost:{server.server_port}/"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield reports
    finally:
        family = [*psutil.Process(browser.pid).children(recursive=True), psutil.Process(browser.pid)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, 10)
        browser.wait(10)
        server.shutdown()
        server.server_close()


def dump(url: str, profile: Path) -> str:
    """The document of a page after its scripts ran."""
    done = subprocess.run(
        [*arguments(profile), "--virtual-time-budget=5000", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout
