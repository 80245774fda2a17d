"""The verbs about models, against a scripted service."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from foundrylocal.cli.failure import Failure
from foundrylocal.cli.operations import import_body
from tests.fakes.management_api import MODEL, Run, Script

NOT_FOUND = {"error": {"message": "Model not found", "type": "t", "code": "model_not_found", "details": None}}
MACHINE: dict[str, Any] = {
    "memory": {"total_bytes": 8 << 30, "free_bytes": 3 << 30},
    "models": [
        {
            "model": "Tiny-GGUF",
            "node": "local",
            "state": "ready",
            "memory_bytes": 1 << 30,
            "context_size": 8192,
            "is_pinned": True,
            "unloads_at": None,
        }
    ],
}
DETAILS: dict[str, Any] = {
    **MODEL,
    "family": "Tiny",
    "license": "apache-2.0",
    "context_length": None,
    "capabilities": ["chat"],
    "is_downloading": False,
    "loaded_at": None,
    "gguf": {"architecture": "llama", "context_length": 2048},
    "memory": {"is_lower_bound": False, "total_formatted": "1.0 GB", "context_size": 2048, "fits_now": True},
    "options": {
        "effective": {"context_size": 2048, "lora": [], "threads": None},
        "reasons": {"gpu_layers": "no GPU"},
    },
    "preset": {"temperature": 0.2},
    "problem": None,
}
DONE = {"success": True, "message": "Done", "model_name": "Tiny-GGUF"}


def test_show_says_what_a_model_is_and_needs(service: Script, run: Run) -> None:
    service.on("GET /models/Tiny-GGUF", DETAILS)
    code, out, _ = run("show", "Tiny-GGUF")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert lines["Context"] == "2,048 tokens"
    assert lines["Memory"] == "1.0 GB with 2,048 tokens of context; fits now"
    assert lines["Options"] == "context_size=2048"
    assert lines["Note"] == "gpu_layers: no GPU"
    assert lines["Preset"] == "temperature=0.2"
    assert json.loads(run("show", "Tiny-GGUF", "--json")[1]) == DETAILS


def test_show_says_what_is_unknown(service: Script, run: Run) -> None:
    unknown = {"license": None, "size": "unknown", "quantization": "unknown", "memory": None, "gguf": None}
    service.on("GET /models/Tiny-GGUF", DETAILS | unknown | {"file_size_bytes": 0, "options": None})
    lines = dict(line.split(maxsplit=1) for line in run("show", "Tiny-GGUF")[1].splitlines())
    assert [lines[name] for name in ("License", "Purpose", "Size", "Quantization", "Context", "Memory")] == [
        "unknown"
    ] * 6
    assert (lines["File"], lines["Languages"]) == ("unknown size", "not stated by the publisher")


def test_show_says_the_catalog_facts(service: Script, run: Run) -> None:
    facts = {"purpose": "completion", "tuning": "base", "languages": ["de", "en"], "language_count": 29}
    memory = {"is_lower_bound": True, "total_formatted": "1.0 GB", "context_size": 2048, "fits_now": False}
    service.on("GET /models/Tiny-GGUF", DETAILS | facts | {"memory": memory})
    lines = dict(line.split(maxsplit=1) for line in run("show", "Tiny-GGUF")[1].splitlines())
    assert lines["Purpose"].startswith("base model")
    assert lines["Languages"] == "de en and others, 29+ in total"
    assert lines["Memory"] == "at least 1.0 GB, its context not counted; does not fit now"


def test_ps_shows_what_is_in_memory(service: Script, run: Run) -> None:
    service.on("GET /machine", MACHINE)
    assert run("ps")[1].splitlines() == [
        "MODEL      STATE  MEMORY  CONTEXT  LEAVES",
        "Tiny-GGUF  ready  1.0 GB  8192     never",
        "Free for models: 3.0 GB of 8.0 GB",
    ]
    service.on("GET /machine", MACHINE | {"models": []})
    assert run("ps")[1].startswith("No model is loaded. Next: foundrylocal load MODEL")


def test_load_takes_options_for_this_time(service: Script, run: Run) -> None:
    service.on("POST /models/Tiny-GGUF/load", DONE)
    assert run("load", "Tiny-GGUF", "context_size=4096", "kv_cache_type=q8_0") == (0, "Done: Tiny-GGUF\n", "")
    assert service.calls[0][1] == {"options": {"context_size": 4096, "kv_cache_type": "q8_0"}}
    run("load", "Tiny-GGUF")
    assert service.calls[-1][1] is None


def test_unload_wants_a_name_or_all(service: Script, run: Run) -> None:
    service.on("POST /models/Tiny-GGUF/unload", DONE)
    service.on("POST /models/unload-all", {"success": True, "message": "All"})
    assert run("unload", "Tiny-GGUF")[1] == "Done: Tiny-GGUF\n"
    assert run("unload", "--all")[1] == "All\n"
    assert run("unload")[0] == run("unload", "Tiny-GGUF", "--all")[0] == 2


def test_verify_ends_with_1_when_a_file_is_damaged(service: Script, run: Run) -> None:
    damaged = {"name": "a.gguf", "size_bytes": 1, "problem": "its checksum differs"}
    service.on(
        "POST /models/Tiny-GGUF/verify", DONE | {"is_sound": False, "can_repair": True, "files": [damaged]}
    )
    code, out, _ = run("verify", "Tiny-GGUF")
    assert code == 1
    assert out.splitlines()[1:] == [
        "  a.gguf: its checksum differs",
        "Next: foundrylocal verify Tiny-GGUF --repair",
    ]
    service.on("POST /models/Tiny-GGUF/verify", DONE | {"is_sound": True, "can_repair": False, "files": []})
    assert run("verify", "Tiny-GGUF", "--repair") == (0, "Done\n", "")
    assert service.calls[-1][1] == {"repair": True}


def test_what_is_imported_is_a_path_of_this_machine_or_a_repository(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.touch()
    assert import_body(str(file), "mine", "link") == {"path": str(file), "mode": "link", "name": "mine"}
    assert import_body("hf.co/Qwen/Some-GGUF:Q4_K_M", None) == {
        "repo": "Qwen/Some-GGUF",
        "quantization": "Q4_K_M",
    }
    for wrong in ("missing.gguf", "folder/missing.gguf", "name", "a/b/c", "/b"):
        with pytest.raises(Failure, match="There is no file"):
            import_body(wrong, None)


def test_pull_of_a_repository_shows_how_far_it_is(service: Script, run: Run) -> None:
    has_been_asked = threading.Event()

    def downloads(body: object) -> dict[str, Any]:
        has_been_asked.set()
        progress = {"stage": "downloading", "percent": 40.0}
        entry = {
            "model_name": "New-GGUF",
            "model_id": "org/New-GGUF",
            "state": "downloading",
            "progress": progress,
        }
        return {"downloads": [entry], "ended": []}

    def imported(body: object) -> dict[str, Any]:
        assert has_been_asked.wait(30)
        return DONE | {"model_name": "New-GGUF"}

    service.on("POST /models/org%2FNew-GGUF%3AQ8_0/download-stream", (404, NOT_FOUND))
    service.on("POST /models/import", imported)
    service.on("GET /downloads", downloads)
    code, out, _ = run("pull", "org/New-GGUF:Q8_0")
    assert code == 0
    assert out.splitlines()[-3:] == ["Downloading New-GGUF: 40 %", "Done", "Next: foundrylocal run New-GGUF"]
    assert ("POST /models/import", {"repo": "org/New-GGUF", "quantization": "Q8_0"}) in service.calls


def test_pull_of_an_unknown_name_stays_an_error(service: Script, run: Run) -> None:
    service.on("POST /models/nothing/download-stream", (404, NOT_FOUND))
    assert run("pull", "nothing")[0] == 1
    assert all(call != "POST /models/import" for call, _ in service.calls)


def test_search_goes_on_without_the_hub(service: Script, run: Run) -> None:
    service.on("GET /models", {"models": [MODEL | {"needed_memory_bytes": 1 << 20}], "total_count": 1})
    service.on("GET /machine", MACHINE)
    gone = {
        "error": {
            "message": "The hub cannot be reached",
            "type": "t",
            "code": "hub_unreachable",
            "details": "x",
        }
    }
    service.on("POST /models/search", (503, gone))
    code, out, _ = run("search", "tiny")
    assert code == 0
    assert "Tiny-GGUF  1.0 MB    1.0 MB+  downloaded" in out
    assert out.splitlines()[-1] == "The hub could not be searched: x"


def test_search_shows_what_the_hub_has(service: Script, run: Run) -> None:
    service.on("GET /machine", MACHINE)
    choice = {
        "quantization": "Q4_0",
        "file_size_formatted": "2.0 GB",
        "needed_memory_bytes": 2 << 30,
        "fits_memory": False,
    }
    found = {"repo": "org/Other-GGUF", "choices": [choice]}
    service.on("POST /models/search", {"repositories": [found], "total_count": 1})
    assert run("search", "other")[1].splitlines()[1] == "org/Other-GGUF:Q4_0  2.0 GB    2.0 GB+  no"


def test_search_finds_catalog_models_by_their_purpose(service: Script, run: Run) -> None:
    service.on(
        "GET /models", {"models": [MODEL | {"purpose": "code", "needed_memory_bytes": 1}], "total_count": 1}
    )
    service.on("GET /machine", MACHINE)
    service.on("POST /models/search", {"repositories": [], "total_count": 0})
    assert "Tiny-GGUF" in run("search", "tiny code")[1]
    assert run("search", "tiny vision")[1].startswith("No model matches")


def test_downloads_are_listed_and_steered(service: Script, run: Run) -> None:
    progress = {"stage": "downloading", "percent": 12.4, "eta_seconds": 30}
    entry = {"model_name": "Tiny-GGUF", "state": "downloading", "progress": progress}
    service.on("GET /downloads", {"downloads": [entry], "ended": []})
    assert run("downloads", "list")[1].splitlines()[1] == "Tiny-GGUF  downloading  12 %  30 s"
    for verb, call in (("pause", "POST"), ("resume", "POST"), ("cancel", "DELETE")):
        path = "/downloads/Tiny-GGUF" + ("" if verb == "cancel" else f"/{verb}")
        service.on(f"{call} {path}", DONE)
        assert run("downloads", verb, "Tiny-GGUF") == (0, "Done: Tiny-GGUF\n", "")


def test_aliases_are_kept_when_one_is_added_or_removed(service: Script, run: Run) -> None:
    service.on("POST /config", {"aliases": {"old": "Tiny-GGUF"}})
    assert run("alias")[1].split() == ["old", "Tiny-GGUF"]
    assert run("alias", "chat", "Tiny-GGUF")[0] == 0
    assert service.calls[-1][1] == {"aliases": {"old": "Tiny-GGUF", "chat": "Tiny-GGUF"}}
    service.on("GET /models/nope", (404, NOT_FOUND))
    assert run("alias", "other", "nope")[0] == 1
    assert service.calls[-1] == ("GET /models/nope", None)
    assert run("alias", "old", "--remove")[0] == 0
    assert service.calls[-1][1] == {"aliases": {}}
    assert run("alias", "missing", "--remove")[0] == 1
    assert run("alias", "old")[0] == run("alias", "old", "Tiny-GGUF", "--remove")[0] == 2


def test_ls_is_list(service: Script, run: Run) -> None:
    service.on("GET /models/downloaded", {"models": [MODEL], "total_count": 1})
    assert run("ls") == run("list")


def test_the_version_is_printed(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("foundrylocal ")


def test_ps_names_the_nodes_of_a_cluster(service: Script, run: Run) -> None:
    (local,) = MACHINE["models"]
    service.on("GET /machine", {**MACHINE, "models": [local, {**local, "node": "10.0.0.2"}]})
    _, out, _ = run("ps")
    assert "NODE" in out
    assert "10.0.0.2" in out
    service.on("GET /machine", MACHINE)
    assert "NODE" not in run("ps")[1]


LISTED = {
    "store": "ollama",
    "name": "llama3.2-1b",
    "path": "/store/blobs/sha256-1",
    "projector_path": None,
    "quantization": None,
    "file_size_bytes": 1,
    "file_size_formatted": "1 B",
}


@pytest.mark.parametrize("name", ["llama3.2-1b", "llama3.2:1b", "Llama3.2:1B"])
def test_a_model_of_another_program_is_linked_by_its_name(service: Script, run: Run, name: str) -> None:
    service.on("GET /models/importable", {"models": [LISTED], "total_count": 1})
    service.on("POST /models/import", {"message": "Model imported", "model_name": "llama3.2-1b"})
    assert run("import", name)[0] == 0
    assert service.calls[-1] == (
        "POST /models/import",
        {"path": "/store/blobs/sha256-1", "mode": "link", "name": "llama3.2-1b"},
    )
    assert run("import", name, "--mode", "copy", "--name", "mine")[0] == 0
    assert service.calls[-1][1] == {"path": "/store/blobs/sha256-1", "mode": "copy", "name": "mine"}


def test_a_name_that_no_program_has_says_where_the_names_are(service: Script, run: Run) -> None:
    service.on("GET /models/importable", {"models": [LISTED], "total_count": 1})
    code, _, err = run("import", "llama3.3")
    assert code == 1
    assert "There is no file 'llama3.3', and no program has a model of that name" in err
    assert "Next: foundrylocal import --list" in err


def test_load_says_which_options_do_not_hold(service: Script, run: Run) -> None:
    service.on("POST /models/Tiny-GGUF/load", {"message": "Done", "model_name": "Tiny-GGUF"})
    options = {"effective": {"context_size": 2048, "parallel": 2, "threads": 4}, "reasons": {}}
    options["reasons"] = {"context_size": "the model has no more"}
    service.on("GET /models/Tiny-GGUF", MODEL | {"options": options})
    out = run("load", "Tiny-GGUF", "context_size=4096", "threads=4", "parallel=1")[1]
    assert out == (
        "Done: Tiny-GGUF\n"
        "Note  context_size is 2048, not 4096: the model has no more\n"
        "Note  parallel is 2, not 1: it was in memory already: foundrylocal unload Tiny-GGUF, then load it again\n"
    )


@pytest.mark.parametrize(("verb", "path"), [("load", "load"), ("set", "preset")])
def test_an_unknown_option_gets_the_nearest_name(service: Script, run: Run, verb: str, path: str) -> None:
    refusal = {"message": "The request is not valid", "type": "t", "code": "invalid_request"}
    details = "options.contextsize: unknown field."
    service.on(f"POST /models/Tiny-GGUF/{path}", (400, {"error": refusal | {"details": details}}))
    code, _, err = run(verb, "Tiny-GGUF", "contextsize=1")
    assert code == 1
    assert f"  {details} Did you mean context_size?\n" in err
    assert "Next: correct that value; foundrylocal set MODEL lists the options\n" in err
