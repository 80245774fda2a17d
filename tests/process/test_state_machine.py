"""Random walks through the management API against a model of the contract: what it says is what happens."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, store_tiny_model

BROKEN_MODEL = "SmolLM2-360M-Instruct-Q8_0-GGUF"
ABSENT_MODEL = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
NAMES = [CHAT_MODEL, BASE_MODEL, BROKEN_MODEL, ABSENT_MODEL, "no-such-model"]


class Contract(RuleBasedStateMachine):
    """The model is three facts: what runs, what is loaded, what is on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        home = self.folder / "home"
        store_tiny_model(home, CHAT_MODEL)
        store_tiny_model(home, BASE_MODEL)
        store_tiny_model(home, BROKEN_MODEL, worker_flags="--fail-with 'broken on purpose'")
        self.service = Service(home, worker=FAKE_WORKER)
        self.running: str | None = None
        self.is_loaded = False
        self.on_disk = {CHAT_MODEL, BASE_MODEL, BROKEN_MODEL}

    def teardown(self) -> None:
        workers = self.service.workers()
        assert self.service.stop() == 0
        assert not any(worker.is_running() for worker in workers)
        shutil.rmtree(self.folder)

    def _outcome(self, name: str) -> str | None:
        """The code of the error that loading `name` ends in; None when it works."""
        if name == "no-such-model":
            return "model_not_found"
        if name not in self.on_disk:
            return "model_not_downloaded"
        return "server_start_failed" if name == BROKEN_MODEL else None

    def _load(self, path: str, name: str) -> str | None:
        body = {"model_name": name, "options": {"auto_download": False}}
        answer = self.service.post(path, body)
        return answer.json()["error"]["code"] if answer.status_code != 200 else None

    @rule(name=st.sampled_from(NAMES))
    def start(self, name: str) -> None:
        expected = self._outcome(name)
        if self.running is not None and expected != "model_not_found":
            expected = "server_already_running"
        assert self._load("/start", name) == expected
        if expected is None:
            self.running, self.is_loaded = name, True

    @rule(name=st.sampled_from(NAMES))
    def switch(self, name: str) -> None:
        expected = self._outcome(name)
        assert self._load("/switch-model", name) == expected
        if expected is None:
            self.running, self.is_loaded = name, True
        elif expected == "server_start_failed" and self.running is not None:
            self.is_loaded = True  # the old one serves on, loaded again when it was not

    @rule()
    def stop(self) -> None:
        message = "Server stopped successfully" if self.running else "Server is not running"
        assert self.service.post("/stop").json() == {"success": True, "message": message}
        self.running, self.is_loaded = None, False

    @rule()
    def unload_all(self) -> None:
        assert self.service.post("/models/unload-all").status_code == 200
        self.is_loaded = False

    @rule()
    def chat(self) -> None:
        if self.running is None:
            return
        with self.service.gateway() as gateway:
            body = {"messages": [{"role": "user", "content": "Hi"}]}
            assert gateway.post("/v1/chat/completions", json=body).status_code == 200
        self.is_loaded = True

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        answer = self.service.http.delete(f"/models/{name}")
        code = answer.json()["error"]["code"] if answer.status_code != 200 else None
        if name == "no-such-model":
            assert code == "model_not_found"
        elif name == self.running:
            assert code == "model_in_use"
        elif name not in self.on_disk:
            assert code == "model_not_downloaded"
        else:
            # A model that a switch left behind may still be ending its last requests.
            assert code in (None, "model_in_use")
            if code is None:
                self.on_disk.discard(name)

    @rule(port=st.integers(-1, 3), level=st.sampled_from(["DEBUG", "INFO", "LOUD"]))
    def configure(self, port: int, level: str) -> None:
        answer = self.service.post("/config", {"parallel": port, "default_log_level": level})
        assert (answer.status_code == 200) is (port >= 1 and level != "LOUD")

    @invariant()
    def the_status_is_what_the_model_says(self) -> None:
        status = self.service.status()
        assert status["status"] == ("running" if self.running else "stopped")
        assert status["current_model"] == self.running
        loaded = status["loaded_model_id"]
        assert (loaded is not None) is self.is_loaded
        listed = {model["simple_name"] for model in self.service.get("/models/downloaded").json()["models"]}
        assert listed == self.on_disk


Contract.TestCase.settings = settings(
    max_examples=6,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestContract = Contract.TestCase
