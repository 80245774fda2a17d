"""Traces of a real service at a collector: within the client's trace, with figures, without content."""

from __future__ import annotations

import time
from pathlib import Path

from tests.fakes.collector import attributes_of, collecting
from tests.process.gateway.raw import CHAT, HELLO
from tests.running import CHAT_MODEL, FAKE_WORKER, eventually, running, store_tiny_model

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CANARY = "a-word-that-nobody-may-trace"
SECRET = {"messages": [{"role": "user", "content": CANARY}]}


def test_a_request_is_a_span_within_its_clients_trace_and_holds_no_content(home: Path) -> None:
    store_tiny_model(home, worker_flags="--rate 200 --tokens 10")
    with (
        collecting() as collector,
        running(
            home,
            worker=FAKE_WORKER,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="100",
        ) as service,
    ):
        service.start()
        with service.gateway() as gateway:
            key = gateway.headers["authorization"].removeprefix("Bearer fl-")
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            answer = gateway.post(CHAT, json=SECRET, headers=headers)
            own = gateway.post(CHAT, json={"messages": CANARY})
        version, trace, span, flags = answer.headers["traceresponse"].split("-")
        assert (version, trace, flags) == ("00", TRACE, "01")
        assert own.status_code == 400 and own.headers["traceresponse"].split("-")[1] != TRACE
        (chat,) = eventually("the span came", lambda: collector.named(f"chat {CHAT_MODEL}"))
        assert (chat.trace_id.hex(), chat.span_id.hex(), chat.parent_span_id.hex()) == (TRACE, span, PARENT)
        found = attributes_of(chat)
        assert found["gen_ai.request.model"] == CHAT_MODEL and found["gen_ai.usage.output_tokens"] == 10
        assert found["foundrylocal.request.id"] == answer.headers["x-request-id"]
        parts = [one for one in collector.spans if one.parent_span_id == chat.span_id]
        assert {"prefill", "decode"} <= {one.name for one in parts}
        for one in parts:
            assert chat.start_time_unix_nano <= one.start_time_unix_nano <= one.end_time_unix_nano
        (failed,) = eventually("the failed one came", lambda: collector.named("chat"))
        assert attributes_of(failed)["error.type"] == "invalid_request"
        exported = b"".join(collector.bodies)
        assert CANARY.encode() not in exported and key.encode() not in exported
        service.post("/config", {"trace_prompts": True})
        with service.gateway() as gateway:
            gateway.post(CHAT, json=SECRET)
        asked = eventually("the third came", lambda: collector.named(f"chat {CHAT_MODEL}")[1:])[0]
        assert CANARY in attributes_of(asked)["gen_ai.input.messages"]


def test_what_is_not_exported_yet_is_sent_at_the_end(home: Path) -> None:
    store_tiny_model(home)
    with collecting() as collector:
        with running(home, worker=FAKE_WORKER, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as service:
            service.start()
            with service.gateway() as gateway:
                gateway.post(CHAT, json=HELLO)
        assert collector.named(f"chat {CHAT_MODEL}")


def test_a_collector_that_is_down_costs_nothing(home: Path) -> None:
    store_tiny_model(home)
    with running(
        home,
        worker=FAKE_WORKER,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
        OTEL_BSP_SCHEDULE_DELAY="50",
    ) as service:
        service.start()
        with service.gateway() as gateway:
            assert [gateway.post(CHAT, json=HELLO).status_code for _ in range(5)] == [200] * 5
        eventually("the log says so", lambda: "Traces: " in service.get("/logs?count=1000").text)
        before = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - before < 10
