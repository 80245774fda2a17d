"""What is used of libraries past their public surface: fails first when a new version changes it."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path

import pytest
import uvicorn
from packaging.requirements import Requirement
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

PYPROJECT = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"
# What web/connection.py overrides or reads.
METHODS = [
    "connection_made",
    "connection_lost",
    "data_received",
    "pause_writing",
    "resume_writing",
    "on_message_begin",
    "on_url",
    "on_header",
    "on_headers_complete",
    "on_message_complete",
    "on_response_complete",
    "send_400_response",
    "_start_asgi_task",
]
STATE = ["transport", "flow", "client", "loop", "pipeline", "scope", "headers", "cycle", "url"]
CYCLE = [
    "response_started",
    "response_complete",
    "chunked_encoding",
    "expected_content_length",
    "keep_alive",
    "scope",
]


@pytest.mark.parametrize("name", ["uvicorn", "xllamacpp"])
def test_libraries_used_past_their_surface_have_an_upper_bound_that_is_tested(name: str) -> None:
    found = [Requirement(one) for one in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]]
    (requirement,) = [one for one in found if one.name == name]
    operators = {specifier.operator for specifier in requirement.specifier}
    assert operators == {">=", "<"}
    from importlib.metadata import version

    assert requirement.specifier.contains(version(name), prereleases=True)


def test_the_protocol_class_of_uvicorn_has_what_a_connection_overrides() -> None:
    for name in METHODS:
        assert inspect.isfunction(getattr(HttpToolsProtocol, name, None)), name
    source = inspect.getsource(HttpToolsProtocol)
    for name in STATE:
        assert f"self.{name}" in source, name
    assert list(inspect.signature(HttpToolsProtocol._start_asgi_task).parameters) == ["self", "cycle", "app"]
    assert STATUS_LINE[431].startswith(b"HTTP/1.1 431 ")


def test_an_answer_of_uvicorn_has_the_fields_that_unframed_bodies_set() -> None:
    source = inspect.getsource(RequestResponseCycle)
    for name in CYCLE:
        assert f"self.{name}" in source, name
    # The order matters: a choice made before the head is written is kept.
    assert "self.chunked_encoding is None" in inspect.getsource(RequestResponseCycle.send)


def test_the_server_of_uvicorn_has_what_the_listener_overrides() -> None:
    assert list(inspect.signature(uvicorn.Server.on_tick).parameters) == ["self", "counter"]
    for name in ("main_loop", "startup", "capture_signals"):
        assert inspect.isfunction(getattr(uvicorn.Server, name, None)), name
    assert "self.servers" in inspect.getsource(uvicorn.Server)
    assert "counter % 10 == 0" in inspect.getsource(uvicorn.Server.on_tick)


def test_the_engine_has_every_parameter_that_the_worker_sets() -> None:
    xllamacpp = pytest.importorskip("xllamacpp")
    from foundrylocal.worker import parameters

    params = xllamacpp.CommonParams()
    names = set()
    for line in inspect.getsource(parameters).splitlines():
        name = line.strip().partition(" = ")[0]
        if name.startswith("params."):
            names.add(name.removeprefix("params.").split(".")[0].split("[")[0])
    assert names
    for name in names:
        assert hasattr(params, name), name
