"""At the most talkative log level, no key that crosses the network is in a log or in a process argument."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from foundrylocal.engine.ray.node.command import session_folder
from foundrylocal.engine.ray.node.token import load_or_make_token, read_token
from tests.process.cluster.machines import FIRST, HEAD, SECOND, Machines, short_folder
from tests.process.cluster.test_ray import chat
from tests.running import CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        os.geteuid() != 0 or sys.platform != "linux",
        reason="reading the network's packets needs root on Linux",
    ),
]

BEARER = re.compile(rb"[Aa]uthorization: Bearer ([^\r\n]{8,200})\r")
POLL_S = 0.2
TIMEOUT_S = 60
MAX_PACKET_BYTES = 1 << 17
ALL_PACKETS = 3  # ETH_P_ALL


class Wire:
    """Reads what crosses the loopback network, in clear as it is; `keys` are those that callers sent, by port."""

    def __init__(self) -> None:
        self.keys: dict[int, set[str]] = {}
        self._stopping = threading.Event()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PACKETS)) as packets:
            packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
            packets.bind(("lo", 0))
            packets.settimeout(POLL_S)
            thread = threading.Thread(target=self._read, args=(packets,))
            thread.start()
            try:
                yield
            finally:
                self._stopping.set()
                thread.join()

    def sent_to(self, ports: set[int]) -> set[str]:
        return {key for port in ports for key in self.keys.get(port, ())}

    def _read(self, packets: socket.socket) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                packet = packets.recv(MAX_PACKET_BYTES)
                for key in BEARER.findall(packet):
                    header_bytes = (packet[0] & 15) * 4
                    port = int.from_bytes(packet[header_bytes + 2 : header_bytes + 4], "big")
                    self.keys.setdefault(port, set()).add(key.decode())


@pytest.fixture
def machines(home: Path) -> Iterator[Machines]:
    """A head and two nodes, with a token."""
    (home / "state").mkdir(parents=True)
    folder = short_folder()
    machines = Machines(folder, token=load_or_make_token(home / "state"))
    try:
        for address in (HEAD, FIRST, SECOND):
            machines.start(address, FOUNDRYLOCAL_DEFAULT_LOG_LEVEL="DEBUG")
        yield machines
    finally:
        machines.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_no_key_is_in_a_log_or_an_argument(machines: Machines, home: Path) -> None:
    store_tiny_model(home)
    wire = Wire()
    with (
        wire.reading(),
        running(
            home,
            worker=FAKE_WORKER,
            FOUNDRYLOCAL_CLUSTER_ADDRESS=machines.address,
            FOUNDRYLOCAL_DEFAULT_LOG_LEVEL="DEBUG",
            FOUNDRYLOCAL_REPLICAS="2",
            RAY_BACKEND_LOG_LEVEL="debug",
        ) as service,
    ):
        service.start()
        assert chat(service)
        eventually("both replicas serve", lambda: len(ready(service)) == 2, TIMEOUT_S)
        refused = service.post("/start", {"model_name": CHAT_MODEL})  # an error is logged too
        assert refused.status_code == 409
        health = service.status()["health"]
        arguments = [line for process in everything(machines, service) for line in command_line(process)]
        worker_ports = {
            port for node in machines.nodes.values() for one in node.workers() for port in listening(one)
        }
        link_ports = {port for process in service.children() for port in listening(process)}
        printed = list(service.lines.queue)
        ring = service.get("/logs", params={"count": 10_000}).text
    token = read_token(home / "state")
    assert token is not None
    of_gateway = wire.sent_to({int(health["endpoint"].removesuffix("/v1").rpartition(":")[2])})
    of_workers, of_files = wire.sent_to(worker_ports), wire.sent_to(link_ports)
    assert of_gateway == {health["api_key"]}
    assert len(of_workers) == 2 and len(of_files) == 1, (len(of_workers), len(of_files))
    secrets = {*of_gateway, *of_workers, *of_files, token}
    assert len(secrets) == 5

    logs = [session_folder(machines.state), home]
    texts = {str(path): path.read_text("utf-8", "replace") for root in logs for path in log_files(root)}
    assert any("ray" in name and "worker" in name for name in texts)  # the actors' own
    assert any(CHAT_MODEL in text for text in texts.values())
    texts |= {"arguments": "\n".join(arguments), "output": "\n".join(filter(None, printed)), "/logs": ring}
    assert "fakes/worker.py" in texts["arguments"]
    assert [name for name, text in texts.items() for secret in secrets if secret in text] == []


def ready(service: Service) -> list[str]:
    replicas = service.get("/cluster").json()["replicas"]
    return [one["id"] for one in replicas if one["state"] == "ready"]


def log_files(root: Path) -> Iterator[Path]:
    """All that is written there as text, links to sessions left out."""
    for folder, _, names in os.walk(root):
        for name in names:
            if name.endswith((".log", ".out", ".err", ".txt")):
                yield Path(folder) / name


def everything(machines: Machines, service: Service) -> list[psutil.Process]:
    of_nodes = [process for node in machines.nodes.values() for process in node.family()]
    return [psutil.Process(service.process.pid), *service.children(), *of_nodes]


def command_line(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return [" ".join(process.cmdline())]
    return []


def listening(process: psutil.Process) -> list[int]:
    with contextlib.suppress(psutil.Error):
        return [one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    return []
