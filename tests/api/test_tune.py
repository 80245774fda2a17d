"""Tuning over HTTP, on the fake worker: the blocking and the streaming call are one operation."""

from __future__ import annotations

from tests.running import BASE_MODEL, CHAT_MODEL, Service


def test_a_model_is_tuned_on_replicas_of_its_own(service: Service) -> None:
    service.start()
    (worker,) = service.workers()
    events = service.events(f"/models/{CHAT_MODEL}/tune-stream")
    assert events[-1]["type"] == "success"
    answer = events[-1]["data"]
    assert answer["model_name"] == CHAT_MODEL
    assert answer["total_count"] == len(answer["trials"]) > 3
    assert answer["before"]["options"] == {"threads": None, "batch_tokens": None, "kv_cache_type": "f16"}
    percents = [event["progress"]["percent"] for event in events if "progress" in event]
    assert percents == sorted(percents)
    assert service.workers() == [worker]
    assert service.status()["is_running"]


def test_what_cannot_be_tuned_says_why(service: Service) -> None:
    answer = service.post("/models/Qwen2.5-0.5B-Instruct-Q8_0-GGUF/tune")
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "model_not_downloaded")
    assert service.post("/models/no-such/tune").status_code == 404
    assert service.http.delete("/tune").json()["message"] == "No model is being tuned"


def test_an_open_tuning_is_shared_and_cancelled(service: Service) -> None:
    with service.http.stream("POST", f"/models/{CHAT_MODEL}/tune-stream") as stream:
        lines = stream.iter_lines()
        assert "Tuning" in next(lines)
        answer = service.post(f"/models/{BASE_MODEL}/tune")
        assert answer.status_code == 409
        assert CHAT_MODEL in answer.json()["error"]["message"]
        assert service.http.delete("/tune").json()["message"] == "Tuning cancelled successfully"
        assert any("operation_cancelled" in line for line in lines)
    assert service.workers() == []
