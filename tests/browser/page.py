"""A real Chromium that a test drives: open a page, press keys, click, read what is shown, take a picture.

It speaks the DevTools protocol over two pipes, so that no port is open and no further package is needed. The page is
the service's own, without any test code in it. Nothing here sleeps: waits are for something that is shown.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.browser.chromium import arguments

TIMEOUT_S = 30.0
_KEYS = {
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    " ": 32,
}


class PageError(AssertionError):
    """Something did not come to be, or a script of the page failed."""


class Page:
    """One tab; `faults` are errors of its scripts, `requests` every address that it asked for."""

    def __init__(self, process: subprocess.Popen[bytes], to_browser: int, from_browser: int) -> None:
        self.process = process
        self._to, self._from = to_browser, from_browser
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.faults: list[str] = []
        self.requests: list[str] = []
        self._chooser: int | None = None

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    # --- the protocol -----------------------------------------------------------------------------------

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise PageError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def _receive(self, deadline: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            ready = select.select([self._from], [], [], max(0, left))[0] if left > 0 else []
            if not ready:
                raise PageError(f"the browser did not answer: {what}")
            self._rest += os.read(self._from, 1 << 20)
        first, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.faults.append(details.get("exception", {}).get("description") or details["text"])
        elif event == "Log.entryAdded" and about["entry"]["level"] == "error":
            entry = about["entry"]
            if entry["source"] != "network":
                self.faults.append(f"{entry['text']} {entry.get('url', '')}")
        elif event == "Page.fileChooserOpened":
            self._chooser = int(about["backendNodeId"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])

    # --- what a person does -----------------------------------------------------------------------------

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def size(self, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def scheme(self, name: str) -> None:
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def press(self, key: str, *, ctrl: bool = False, shift: bool = False) -> None:
        modifiers = (2 if ctrl else 0) + (8 if shift else 0)
        text = key if len(key) == 1 and not ctrl else ("\r" if key == "Enter" else "")
        code = _KEYS.get(key, ord(key.upper()[0]))
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def click(self, selector: str, words: str = "") -> None:
        """Click the middle of the first visible element that matches and contains the words."""
        where = self.until(
            f"something to click: {selector} {words}",
            "(() => { const node = [...document.querySelectorAll("
            + json.dumps(selector)
            + ")].find((one) => "
            "(one.textContent + ' ' + (one.getAttribute('aria-label') ?? '')).includes("
            + json.dumps(words)
            + ")"
            " && !one.disabled && one.ariaDisabled !== 'true' && one.getClientRects().length);"
            " if (!node) return null; node.scrollIntoView({block: 'center'});"
            " const box = node.getBoundingClientRect();"
            " const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];"
            " const top = document.elementFromPoint(x, y);"
            " return top && (node.contains(top) || top.contains(node)) ? [x, y] : null; })()",
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1
            )

    def expect_file_dialog(self) -> None:
        """The system's dialog is not shown from now on; `choose_files` answers it."""
        self._chooser = None
        self.call("Page.setInterceptFileChooserDialog", enabled=True)

    def choose_files(self, *paths: Path) -> None:
        """Wait for the dialog that the page opens, and choose these files in it."""
        deadline = time.monotonic() + TIMEOUT_S
        while self._chooser is None:
            if time.monotonic() > deadline:
                raise PageError("no file dialog was opened")
            self.eval("new Promise((resolve) => setTimeout(resolve, 30))")
        self.call("DOM.setFileInputFiles", files=[str(path) for path in paths], backendNodeId=self._chooser)
        self.call("Page.setInterceptFileChooserDialog", enabled=False)

    # --- what a person sees -----------------------------------------------------------------------------

    def eval(self, expression: str) -> Any:
        """The value of an expression; a promise is awaited."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise PageError(done["exceptionDetails"].get("exception", {}).get("description", "?"))
        return done["result"].get("value")

    def text(self, selector: str = "body") -> str:
        return str(self.eval(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def until(self, what: str, expression: str, timeout_s: float = TIMEOUT_S) -> Any:
        """The first true value of an expression, asked again at each frame of the page."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(PageError):  # a page that is just being left cannot answer
                # A node has no value of its own to return.
                asked = f"Promise.resolve({expression}).then((found) => found instanceof Node || found)"
                if value := self.eval(asked):
                    return value
                self.eval("new Promise((resolve) => setTimeout(resolve, 30))")
            if time.monotonic() > deadline:
                raise PageError(
                    f"not within {timeout_s} s: {what}; shown: {self.text()[:2000]}; faults: {self.faults}"
                )

    def shows(self, words: str, selector: str = "body", timeout_s: float = TIMEOUT_S) -> None:
        """Wait until the words are shown."""
        script = (
            f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(words)})"
        )
        self.until(f"'{words}' in {selector}", script, timeout_s)

    def picture(self, path: Path, *, is_whole: bool = False) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=is_whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser with one empty tab; nothing of it is left after."""
    to_browser_read, to_browser = os.pipe()
    from_browser, from_browser_write = os.pipe()

    def take_pipes() -> None:
        # The protocol's pipes are 3 and 4; both ends are moved out of the way first.
        first, second = os.dup(to_browser_read), os.dup(from_browser_write)
        os.dup2(first, 3)
        os.dup2(second, 4)

    process = subprocess.Popen(
        [*arguments(profile), "--remote-debugging-pipe", "--hide-scrollbars", "--window-size=1300,900"],
        preexec_fn=take_pipes,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser_read)
    os.close(from_browser_write)
    page = Page(process, to_browser, from_browser)
    try:
        page.attach()
        yield page
    finally:
        os.close(to_browser)
        os.close(from_browser)
        family = [process.pid, *(one.pid for one in psutil.Process(process.pid).children(recursive=True))]
        for pid in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        process.wait(10)
