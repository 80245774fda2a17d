"""Every verb against a scripted service: what it asks, what it prints, how it ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from foundrylocal.cli import commands
from foundrylocal.cli.failure import NEXT_STEPS
from foundrylocal.cli.verbs import verb_names
from tests.fakes.management_api import DETAILS, MODEL, STOPPED, Run, Script, chunks, running

PROGRESS = [
    {"type": "progress", "message": "Starting download: Tiny-GGUF"},
    *(
        {
            "type": "progress",
            "message": f"Downloaded: {percent}.0% ({percent} MB / 100 MB) - 5.0 MB/s",
            "progress": {"stage": "downloading", "percent": float(percent), "total_bytes": 100 << 20},
        }
        for percent in range(101)
    ),
    {"type": "success", "message": "Download completed successfully", "data": {"model_name": "Tiny-GGUF"}},
]
STARTED = [
    {"type": "progress", "message": "Starting FoundryLocal server..."},
    {"type": "success", "message": "Server started successfully", "data": {"success": True, "port": 1234}},
]


def error(status: int, code: str, message: str, details: str | None = None) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": message, "type": "t", "code": code, "details": details}}


def test_list_shows_the_models_on_this_machine(service: Script, run: Run) -> None:
    service.on("GET /models/downloaded", {"models": [MODEL], "total_count": 1})
    code, out, _ = run("list")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["MODEL", "SIZE", "QUANTIZATION", "FILE", "STATE"],
        ["Tiny-GGUF", "1M", "Q8_0", "1.0", "MB", "downloaded"],
    ]
    assert run("list", "--downloaded") == run("list")


def test_list_says_how_to_get_the_first_model(service: Script, run: Run) -> None:
    service.on("GET /models/downloaded", {"models": [], "total_count": 0})
    assert "foundrylocal list --all" in run("list")[1]


def test_list_as_json(service: Script, run: Run) -> None:
    service.on("GET /models/downloaded", {"models": [MODEL], "total_count": 1})
    assert json.loads(run("list", "--json")[1]) == {"models": [MODEL], "total_count": 1}


CATALOG = [
    MODEL
    | {
        "purpose": "chat",
        "languages": ["en", "de"],
        "default_memory": {"needed_formatted": "1.5 GB", "needed_bytes": 3 << 29},
    },
    MODEL
    | {
        "simple_name": "Big-GGUF",
        "is_downloaded": False,
        "purpose": "completion",
        "languages": ["en"],
        "file_size_formatted": "8.0 GB",
        "needed_memory_bytes": 8 << 30,
    },
    MODEL
    | {
        "simple_name": "New-GGUF",
        "is_downloaded": False,
        "file_size_formatted": "unknown",
        "language_count": 119,
    },
]


def test_list_all_shows_what_each_model_is_for_and_needs(service: Script, run: Run) -> None:
    service.on("GET /models", {"models": CATALOG, "total_count": 3})
    assert run("list", "--all")[1].splitlines() == [
        "MODEL      FOR      DOWNLOAD  MEMORY",
        "Tiny-GGUF  chat     on disk   1.5 GB",
        "Big-GGUF   base     8.0 GB    8.0 GB+",
        "New-GGUF   unknown  unknown   unknown",
    ]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--language", "de"], ["Tiny-GGUF", "New-GGUF"]),
        (["--language", "en"], ["Tiny-GGUF", "Big-GGUF", "New-GGUF"]),
        (["--max-memory", "8"], ["Tiny-GGUF", "Big-GGUF"]),
        (["--max-memory", "7.5"], ["Tiny-GGUF"]),
        (["--for", "base"], ["Big-GGUF"]),
        (["--for", "code"], []),
    ],
)
def test_list_finds_models_by_what_they_are_for_and_need(
    service: Script, run: Run, options: list[str], names: list[str]
) -> None:
    service.on("GET /models", {"models": CATALOG, "total_count": 3})
    found = json.loads(run("list", "--all", *options, "--json")[1])
    assert [model["simple_name"] for model in found["models"]] == names
    assert found["total_count"] == len(names)
    if not names:
        assert run("list", "--all", *options)[1].startswith("No model matches. Next:")


def test_pull_prints_a_line_for_each_tenth(service: Script, run: Run) -> None:
    service.on("POST /models/Tiny-GGUF/download-stream", PROGRESS)
    code, out, _ = run("pull", "Tiny-GGUF")
    lines = out.splitlines()
    assert code == 0
    assert [line.split("%")[0] for line in lines if "Downloaded" in line] == [
        f"Downloaded: {percent}.0" for percent in range(0, 101, 10)
    ]
    assert lines[-2:] == ["Download completed successfully", "Next: foundrylocal run Tiny-GGUF"]


def test_pull_quotes_a_name_with_a_slash(service: Script, run: Run) -> None:
    run("pull", "org/Tiny-GGUF")
    assert service.calls[-1][0] == "POST /models/org%2FTiny-GGUF/download-stream"


def test_an_error_event_ends_a_pull(service: Script, run: Run) -> None:
    _, body = error(500, "download_failed", "Failed to download model", "No route to the hub")
    service.on("POST /models/Tiny-GGUF/download-stream", [{"type": "error", "message": "x", **body}])
    assert run("pull", "Tiny-GGUF") == (
        1,
        "",
        "Error: Failed to download model\n  No route to the hub\n  Next: run the same command again; "
        "if it fails again: foundrylocal doctor\n",
    )


def test_a_stream_without_an_end_is_a_failure(service: Script, run: Run) -> None:
    service.on("POST /models/Tiny-GGUF/download-stream", PROGRESS[:1])
    code, _, err = run("pull", "Tiny-GGUF")
    assert code == 1
    assert "disconnected before the operation ended" in err


def test_rm(service: Script, run: Run) -> None:
    answer = {
        "message": "Model deleted successfully",
        "model_name": "Tiny-GGUF",
        "freed_space_formatted": "1.0 MB",
    }
    service.on("DELETE /models/Tiny-GGUF", answer)
    assert run("rm", "Tiny-GGUF")[1] == "Model deleted successfully: Tiny-GGUF, 1.0 MB freed\n"


def test_start_says_where_the_server_answers(service: Script, run: Run) -> None:
    service.on("POST /start-stream", STARTED)
    service.on("GET /status", running(service.url))
    code, out, _ = run("start", "Tiny-GGUF", "--gateway-port", "1235")
    assert code == 0
    assert service.calls[0] == ("POST /start-stream", {"model_name": "Tiny-GGUF", "port": 1235})
    assert "Endpoint" in out
    assert "fl-secret" in out


@pytest.mark.parametrize(
    ("answer", "next_step"),
    [
        (
            error(404, "model_not_found", "Model 'x' not found in registry", "Did you mean: y?"),
            "foundrylocal list",
        ),
        (
            error(409, "port_in_use", "Port 1234 is already in use by nginx"),
            "foundrylocal start MODEL --gateway-port 0",
        ),
        (error(409, "server_already_running", "is already running"), "foundrylocal switch MODEL"),
    ],
)
def test_a_refused_start_says_what_next(service: Script, run: Run, answer: Any, next_step: str) -> None:
    service.on("POST /start-stream", answer)
    code, out, err = run("start", "Tiny-GGUF")
    assert (code, out) == (1, "")
    assert answer[1]["error"]["message"] in err
    assert f"Next: {next_step}" in err


@pytest.mark.parametrize(
    ("call", "answer", "arguments"),
    [
        ("POST /stop", {"message": "Server stopped successfully"}, ["stop"]),
        ("POST /models/unload-all", {"message": "All models unloaded successfully"}, ["unload", "--all"]),
        ("POST /models/m/load", {"message": "Model loaded successfully", "model_name": "m"}, ["load", "m"]),
        ("POST /downloads/m/pause", {"message": "Paused", "model_name": "m"}, ["downloads", "pause", "m"]),
        ("DELETE /keys/a", {"message": "Key 'a' revoked"}, ["keys", "rm", "a"]),
        ("DELETE /requests/r", {"message": "Request ended", "id": "r"}, ["requests", "end", "r"]),
        (
            "DELETE /prompt-cache",
            {"message": "No prompts are saved", "removed": 0},
            ["prompt-cache", "clear"],
        ),
    ],
)
def test_with_json_standard_output_is_the_answer(
    service: Script, run: Run, call: str, answer: dict[str, Any], arguments: list[str]
) -> None:
    service.on(call, answer)
    code, out, _ = run(*arguments, "--json")
    assert (code, json.loads(out)) == (0, answer)
    assert run(*arguments)[1].startswith(answer["message"])


def test_with_json_progress_goes_to_standard_error(service: Script, run: Run) -> None:
    service.on("POST /start-stream", STARTED)
    code, out, err = run("start", "Tiny-GGUF", "--json")
    assert (code, json.loads(out)) == (0, {"success": True, "port": 1234})
    assert err.splitlines()[0] == "Starting FoundryLocal server..."


def test_a_line_that_repeats_itself_is_shown_once(service: Script, run: Run) -> None:
    waiting = {"type": "progress", "message": "Waiting for server to be ready..."}
    service.on("POST /start-stream", [waiting, waiting, *STARTED])
    service.on("GET /status", running(service.url))
    out = run("start", "Tiny-GGUF")[1]
    assert out.count("Waiting for server to be ready...") == 1


def test_a_reason_that_the_message_has_is_not_repeated(service: Script, run: Run) -> None:
    service.on(
        "POST /stop", error(400, "invalid_request", "No images here. Leave them out.", "Leave them out.")
    )
    assert run("stop")[2].count("Leave them out.") == 1


def test_stop(service: Script, run: Run) -> None:
    service.on("POST /stop", {"success": True, "message": "Server is not running"})
    assert run("stop") == (0, "Server is not running\n", "")


def test_switch_fetches_first(service: Script, run: Run) -> None:
    service.on("GET /models/Tiny-GGUF", MODEL | {"is_downloaded": False})
    service.on("POST /models/Tiny-GGUF/download-stream", PROGRESS)
    service.on("POST /switch-model", {"message": "Server started successfully"})
    service.on("GET /status", running(service.url))
    assert run("switch", "Tiny-GGUF")[0] == 0
    assert [call for call, _ in service.calls if call.startswith("POST")] == [
        "POST /models/Tiny-GGUF/download-stream",
        "POST /switch-model",
    ]


def test_status_stopped_with_its_last_error(service: Script, run: Run) -> None:
    service.on(
        "GET /status", STOPPED | {"last_error": {"message": "Server failed to start", "details": "no memory"}}
    )
    out = run("status")[1]
    assert "stopped" in out
    assert "no memory" in out


def test_logs_pass_their_filters(service: Script, run: Run) -> None:
    entry = {
        "timestamp": "2025-01-20T10:30:00Z",
        "level": "INFO",
        "message": "Started\x1b[2J",
        "source": "API",
    }
    service.on("GET /logs", json.dumps([entry]).encode())
    assert run("logs", "-n", "5", "--level", "INFO")[1] == "2025-01-20T10:30:00Z INFO     API: Started[2J\n"
    assert service.calls[0][0] == "GET /logs?count=5&level=INFO"


def test_logs_follow_until_the_service_ends(service: Script, run: Run) -> None:
    entries = [
        {"timestamp": "T", "level": level, "message": "m", "source": "API"} for level in ("INFO", "ERROR")
    ]
    service.on("GET /logs/stream", entries)
    code, out, err = run("logs", "-f", "--level", "error")
    assert (code, out) == (1, "T ERROR    API: m\n")
    assert "ended the stream" in err


def test_the_management_key_is_sent(service: Script, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_MANAGEMENT_KEY", "manage-me-please")
    service.on("POST /stop", {"message": "ok"})
    run("stop")
    assert service.headers[0]["authorization"] == "Bearer manage-me-please"


def test_nothing_answers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("FOUNDRYLOCAL_URL", url)
    assert run("status") == (
        1,
        "",
        f"Error: No service answers at {url}\n  Nothing is listening there.\n"
        "  Next: start that service, or correct FOUNDRYLOCAL_URL\n",
    )


def test_without_an_address_the_next_step_starts_a_service(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.delenv("FOUNDRYLOCAL_URL", raising=False)
    monkeypatch.setenv("FOUNDRYLOCAL_HOME", str(tmp_path))
    monkeypatch.setenv("FOUNDRYLOCAL_API_PORT", str(port))
    assert "Next: foundrylocal serve --detach\n" in run("status")[2]


@pytest.mark.parametrize(
    ("code", "details", "shown"),
    [
        ("key_not_found", "GET /keys lists the keys.", ""),
        ("server_already_running", "Stop the current server first or use switch-model endpoint", ""),
        ("model_not_found", "Did you mean: Tiny-GGUF?", "  Did you mean: Tiny-GGUF?\n"),
    ],
)
def test_what_only_a_program_can_do_is_not_shown(
    service: Script, run: Run, code: str, details: str, shown: str
) -> None:
    service.on("DELETE /models/x", error(404, code, "It did not work", details))
    assert run("rm", "x")[2] == f"Error: It did not work\n{shown}  Next: {NEXT_STEPS[code]}\n"


def test_words_are_utf_8_whatever_the_locale_is(service: Script, run: Run) -> None:
    typed = "é".encode().decode("ascii", "surrogateescape")
    service.on("POST /models/Tiny-GGUF/preset", {"message": "ok", "applies": {}})
    assert run("set", "Tiny-GGUF", f"system_prompt={typed}")[0] == 0
    assert service.calls[-1][1] == {"system_prompt": "é"}


@pytest.mark.parametrize("answer", [b"<html>", {"service": "another"}, (404, b"no"), (500, {"error": "x"})])
def test_run_names_a_stranger_on_the_port(service: Script, run: Run, answer: object) -> None:
    service.on("GET /health", answer)
    code, _, err = run("run", "--once")
    assert code == 1
    assert "Another program is using" in err
    assert "--port" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["start"],
        ["start", "m", "--gateway-port", "70000"],
        ["config", "prot"],
        ["serve", "--port", "x"],
        ["serve", "--prot", "1"],
        ["logs", "-n", "0"],
    ],
)
def test_a_wrong_command_line_is_2(service: Script, run: Run, arguments: list[str]) -> None:
    try:
        code, _, err = run(*arguments)
    except SystemExit as end:  # argparse, on the way to `serve`
        assert end.code == 2
        return
    assert code == 2
    assert err
    assert not service.calls


def test_run_once_uses_a_running_server_and_leaves_it(service: Script, run: Run) -> None:
    service.on("GET /status", running(service.url))
    service.on("GET /models/tiny-gguf", DETAILS | {"is_loaded": True})
    service.on("POST /v1/chat/completions", chunks("Par", "is\x1b[31m", "."))
    code, out, _ = run("run", "tiny-gguf", "--once")
    assert code == 0
    assert "Paris[31m." in out
    assert "3 tokens" in out
    assert "tokens/s" in out
    assert f"{service.url}/v1" in out
    assert f"curl {service.url}/v1/chat/completions -H 'Authorization: Bearer fl-secret'" in out
    assert not [call for call, _ in service.calls if "stop" in call or "start" in call]


def test_run_once_starts_downloads_and_stops_what_it_started(service: Script, run: Run) -> None:
    found = iter([DETAILS | {"is_downloaded": False}, DETAILS])
    service.on("GET /models/Tiny-GGUF", lambda body: next(found))
    service.on("POST /models/Tiny-GGUF/download-stream", PROGRESS)
    service.on("POST /start-stream", STARTED)
    service.on("POST /stop", {"message": "Server stopped successfully"})
    service.on("POST /v1/chat/completions", chunks("Hello", " there"))
    answers = iter([STOPPED, running(service.url)])
    service.on("GET /status", lambda body: next(answers))
    code, out, err = run("run", "Tiny-GGUF", "Hi", "--gateway-port", "0")
    assert code == 0
    assert out == "Hello there\n"
    assert err.splitlines()[-1] == "Server stopped successfully"
    assert "fl-secret" not in err
    assert [(call, body) for call, body in service.calls if call.startswith("POST")] == [
        ("POST /plan", {"model_name": "Tiny-GGUF"}),
        ("POST /models/Tiny-GGUF/download-stream", None),
        ("POST /start-stream", {"model_name": "Tiny-GGUF", "port": 0}),
        (
            "POST /v1/chat/completions",
            {
                "model": "org/Tiny-GGUF",
                "messages": [{"role": "user", "content": "Hi"}],
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_tokens": 1024,
            },
        ),
        ("POST /stop", None),
    ]


def test_run_passes_on_what_was_asked_for_and_says_when_the_answer_was_cut(service: Script, run: Run) -> None:
    service.on("GET /status", running(service.url))
    service.on("GET /models/Tiny-GGUF", DETAILS | {"is_loaded": True})
    service.on("POST /v1/chat/completions", chunks("Hello", " there"))
    flags = ("--system", "Be brief", "--temperature", "0", "--max-tokens", "2")
    code, out, err = run("run", "Tiny-GGUF", "Hi", *flags)
    assert (code, out) == (0, "Hello there\n")
    assert err.splitlines()[-1] == "The answer was cut off there; --max-tokens allows more."
    body = service.calls[-1][1]
    assert body["messages"][0] == {"role": "system", "content": "Be brief"}
    assert (body["temperature"], body["max_tokens"]) == (0.0, 2)


def test_run_keep_stops_nothing(service: Script, run: Run) -> None:
    service.on("POST /start-stream", STARTED)
    service.on("POST /v1/chat/completions", chunks("Hello", " there"))
    answers = iter([STOPPED, running(service.url)])
    service.on("GET /status", lambda body: next(answers))
    code, out, _ = run("run", "Tiny-GGUF", "--once", "--keep")
    assert code == 0
    assert "The server keeps running" in out
    assert not [call for call, _ in service.calls if call == "POST /stop"]


def test_run_stops_the_server_when_the_chat_fails(service: Script, run: Run) -> None:
    service.on("POST /start-stream", STARTED)
    service.on("POST /stop", {"message": "Server stopped successfully"})
    service.on(
        "POST /v1/chat/completions", error(502, "worker_crashed", "The model's process ended unexpectedly")
    )
    answers = iter([STOPPED, running(service.url)])
    service.on("GET /status", lambda body: next(answers))
    code, _, err = run("run", "Tiny-GGUF", "--once")
    assert code == 1
    assert "ended unexpectedly" in err
    assert service.calls[-1][0] == "POST /stop"


def test_run_without_a_question_asks_for_one(
    service: Script, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with empty.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert run("run")[0] == 2
    assert not service.calls


def test_a_verb_is_one_file_and_its_module_is_all_that_a_call_imports() -> None:
    program = (
        "import sys\n"
        "from foundrylocal.cli.verbs import app\n"
        "try: app(['status', '--help'])\n"
        "except SystemExit: pass\n"
        "prefix = 'foundrylocal.cli.commands.'\n"
        "print([name for name in sys.modules if name.startswith(prefix)])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "['foundrylocal.cli.commands.status']", done.stderr


def test_a_verb_starts_without_the_shapes_and_without_httpx() -> None:
    program = (
        "import sys\n"
        "import foundrylocal.cli.commands.status\n"
        "print([name for name in ('httpx', 'pydantic', 'rich') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_every_file_in_commands_is_a_verb_with_its_help(run: Run) -> None:
    files = {path.stem for path in Path(commands.__path__[0]).glob("*.py")} - {"__init__"}
    code, out, _ = run("--help")
    assert code == 0 and {file.rstrip("_").replace("_", "-") for file in files} == set(verb_names())
    assert "..." not in out.partition("\n\n")[2], "the first sentence of a verb's help is cut off"
    for name in verb_names():
        assert any(line.split()[:1] == [name] and len(line.split()) > 1 for line in out.splitlines()), name
