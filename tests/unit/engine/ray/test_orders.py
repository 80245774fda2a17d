"""Orders, updates and errors on their way between a service and its nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foundrylocal.catalog.registry import HubSource, SourceFile
from foundrylocal.engine.ray import failures, orders
from foundrylocal.engine.ray.orders import FileSet, FilesMode, NodeOrder, Phase, Update
from foundrylocal.engine.replica import Address, LoadedAdapter, ModelFile, ReplicaSpec
from foundrylocal.errors import ChecksumMismatch, FoundryLocalError, LoadOutOfMemory, ServerStartFailed
from foundrylocal.wire.load_options import EffectiveOptions, LoadOptions, ModelOptions
from foundrylocal.wire.options_report import OptionsReport, WantedOptions


def full_order() -> NodeOrder:
    options = EffectiveOptions(context_size=4096, threads=2, speculative="ngram")
    wanted = WantedOptions(ModelOptions(), {"context_size": "auto"}, LoadOptions(parallel=2))
    file = ModelFile("m.gguf", Path("/m/m.gguf"), 10, "a" * 64)
    spec = ReplicaSpec(
        "a/b#1",
        "a/b",
        Path("/m/m.gguf"),
        Path("/m/mmproj.gguf"),
        10,
        20,
        options,
        content_id="c",
        draft_path=Path("/m/d.gguf"),
        adapters=(LoadedAdapter(Path("/m/l.gguf"), 0.5, 3, "l"),),
        files=(file,),
        report=OptionsReport(wanted, options, {"threads": "auto"}, {"lora": "why"}),
    )
    hub = HubSource("a/b", None, (SourceFile("m.gguf", 10, "a" * 64),))
    sets = (FileSet("a/b", (file,), hub=hub),)
    return NodeOrder(
        "1", "127.0.1.2", spec, 60.0, FilesMode.HUB, sets, ("w",), {"e": "/e"}, ("h",), Path("/s")
    )


def test_an_order_arrives_as_it_was_sent() -> None:
    order = full_order()
    arrived = orders.decode_order(orders.encode_order(order))
    assert arrived == order
    assert arrived.spec.report == order.spec.report and arrived.spec.files == order.spec.files
    assert arrived.spec.is_like(order.spec)


def test_the_version_is_read_from_an_order_that_cannot_be_read() -> None:
    assert orders.version_of('{"version": "9.9.9", "whatever": [1]}') == "9.9.9"


@pytest.mark.parametrize("text", ["", "[]", "{}x", "null"])
def test_what_is_no_order_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        orders.version_of(text)


def test_an_update_arrives_as_it_was_sent() -> None:
    update = Update(3, Phase.READY, 1.0, Address("http://h:1", "key", 1, build="b"), pid=7, memory_bytes=9)
    assert orders.decode_update(orders.encode_update(update)) == update


@pytest.mark.parametrize(
    "error", [ChecksumMismatch("m.gguf", "a", "b"), LoadOutOfMemory("too big"), ServerStartFailed("why")]
)
def test_an_error_of_a_node_is_the_same_error_in_the_service(error: FoundryLocalError) -> None:
    arrived = failures.decode(failures.encode(error), "127.0.1.2")
    assert type(arrived) is type(error)
    assert (arrived.message, arrived.code, arrived.type) == (error.message, error.code, error.type)
    assert arrived.details == f"Node 127.0.1.2: {error.details}"


def test_any_other_exception_is_a_start_that_failed() -> None:
    arrived = failures.decode(failures.encode(RuntimeError("boom")))
    assert type(arrived) is ServerStartFailed
    assert "RuntimeError: boom" in str(arrived.details)


@pytest.mark.parametrize("kind", ["Path", "no such", "annotations", None])
def test_an_error_of_an_unknown_kind_is_a_start_that_failed(kind: Any) -> None:
    fields = {"kind": kind, "message": "m", "details": None, "param": None, "retry_after_s": None}
    assert type(failures.decode(fields)) is ServerStartFailed
