"""Fuzz the management API from its own OpenAPI document with schemathesis, for a bounded time.

Run it as `python -m scripts.fuzz_api` in the repository. It fails if an answer does not match the
document, or if the service logged an unexpected fault. A 5xx from the contract (such as a failed download) is fine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.running import BASE_MODEL, BASE_PATH, CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
)
# Streams that never end, and settings that reach outside the home or would lock the fuzzer out.
ENDLESS = ("/logs/stream", "/events")
KEPT_SETTINGS = ("cache_dir", "management_key", "api_host", "gateway_host")
CLOSED = "http://127.0.0.1:9"
GRACE_S = 90


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what must not be fuzzed, and with model names that exist."""
    for path in ENDLESS:
        document["paths"].pop(BASE_PATH + path)
    schemas = document["components"]["schemas"]
    for name in KEPT_SETTINGS:
        schemas["ConfigBody"]["properties"].pop(name, None)
    schemas["ConfigBody"]["examples"] = [{"parallel": 2}, {"defaults": True}]
    schemas["ImportBody"]["properties"]["mode"] = {"const": "copy"}
    name = schemas["StartBody"]["properties"]["model_name"]
    known = {"enum": [CHAT_MODEL, BASE_MODEL]}
    schemas["StartBody"]["properties"]["model_name"] = {"anyOf": [known, name]}
    schemas["StartBody"]["properties"]["port"] = {"enum": [0, None, 0]}
    schemas["StartBody"]["examples"] = [{"model_name": CHAT_MODEL, "port": 0}]
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "model_name":
                    parameter["schema"] = {"anyOf": [known, parameter["schema"]]}
    return document


def faults(service: Service) -> list[str]:
    """The unexpected faults in the log of the service."""
    return [
        line
        for file in (service.home / "state").rglob("*.log")
        for line in file.read_text("utf-8", "replace").splitlines()
        if "Unexpected fault" in line
    ]


def read_arguments(description: str | None) -> argparse.Namespace:
    """How long to fuzz, and from which seed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seed", type=int, default=None)
    return parser.parse_args()


@contextmanager
def offline_service() -> Iterator[Service]:
    """A service with two tiny models on a fake worker; hub and package index cannot be reached."""
    offline = {"PIP_INDEX_URL": f"{CLOSED}/simple", "PIP_RETRIES": "0", "HF_ENDPOINT": CLOSED}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        for model in (CHAT_MODEL, BASE_MODEL):
            store_tiny_model(home, model)
        with running(home, worker=FAKE_WORKER, **offline) as service:
            yield service


def main() -> int:
    given = read_arguments(__doc__)
    with offline_service() as service:
        document = service.home.with_name("openapi.json")
        document.write_text(json.dumps(narrowed(service.get("/openapi.json").json())))
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            str(document),
            f"--url={service.root}",
            f"--checks={','.join(CHECKS)}",
            f"--max-time={given.seconds}",
            "--phases=examples,coverage,fuzzing",
            "--continue-on-failure",
            "--request-timeout=60",
            "--suppress-health-check=all",
            "--warnings=off",
        ]
        if given.seed is not None:
            command.append(f"--seed={given.seed}")
        done = subprocess.run(command, timeout=given.seconds + GRACE_S, check=False)
        found = faults(service)
        alive = service.get("/health").status_code == 200
    for line in found:
        print(line)
    return 0 if done.returncode == 0 and not found and alive else 1


if __name__ == "__main__":
    sys.exit(main())
