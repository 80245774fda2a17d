"""`run` loads its model beside the others: none leaves for it, and what does not fit is refused with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.management_api import DETAILS, MODEL, Run, Script, chunks, running

OTHER = MODEL | {"simple_name": "Big-GGUF", "model_id": "org/Big-GGUF", "is_loaded": True}
TIGHT = DETAILS["memory"] | {"fits_now": False, "total_formatted": "3.0 GB", "available_bytes": 1 << 30}
LOADED = {"message": "Model loaded successfully", "model_name": "Tiny-GGUF"}
UNLOADED = {"message": "Model unloaded successfully", "model_name": "Tiny-GGUF"}


@pytest.fixture
def busy(service: Script) -> Script:
    """A service whose server runs with another model."""
    service.on("GET /status", running(service.url, OTHER))
    service.on("GET /models/loaded", {"models": [OTHER], "total_count": 1})
    service.on("POST /v1/chat/completions", chunks("Hello"))
    service.on("POST /models/Tiny-GGUF/load", LOADED)
    service.on("POST /models/Tiny-GGUF/unload", UNLOADED)
    return service


def posts(service: Script) -> list[str]:
    return [call for call, _ in service.calls if not call.startswith("GET")]


def test_the_model_is_loaded_beside_and_unloaded_again(busy: Script, run: Run) -> None:
    code, out, err = run("run", "Tiny-GGUF", "Hi")
    assert (code, out) == (0, "Hello\n")
    assert "Loading Tiny-GGUF alongside Big-GGUF..." in err
    assert posts(busy) == [
        "POST /models/Tiny-GGUF/load",
        "POST /v1/chat/completions",
        "POST /models/Tiny-GGUF/unload",
    ]
    assert busy.calls[-2][1]["model"] == "org/Tiny-GGUF"


def test_keep_leaves_it_in_memory(busy: Script, run: Run) -> None:
    assert run("run", "Tiny-GGUF", "Hi", "--keep")[0] == 0
    assert posts(busy)[-1] == "POST /v1/chat/completions"


@pytest.mark.parametrize("is_downloaded", [True, False])
def test_what_would_evict_another_model_is_refused_before_anything_is_done(
    busy: Script, run: Run, is_downloaded: bool
) -> None:
    memory = TIGHT | {"is_lower_bound": not is_downloaded}
    busy.on("GET /models/Tiny-GGUF", DETAILS | {"memory": memory, "is_downloaded": is_downloaded})
    code, out, err = run("run", "Tiny-GGUF", "Hi")
    assert (code, out) == (1, "")
    at_least = "" if is_downloaded else "at least "
    assert err == (
        "Error: There is not enough memory to load Tiny-GGUF alongside Big-GGUF\n"
        f"  It needs {at_least}3.0 GB of memory, and 1.0 GB are free.\n"
        "  Next: foundrylocal unload Big-GGUF, or foundrylocal plan Tiny-GGUF\n"
    )
    assert posts(busy) == []


def test_a_model_that_can_never_fit_is_not_downloaded(service: Script, run: Run) -> None:
    stopped: dict[str, Any] = {"status": "stopped", "health": {}}
    service.on("GET /status", stopped)
    service.on("GET /models/Tiny-GGUF", DETAILS | {"is_downloaded": False})
    refusal = {"message": "Not enough memory", "code": "insufficient_memory", "details": "2 GB are missing."}
    service.on("POST /plan", {"fits": False, "refusal": refusal})
    code, _, err = run("run", "Tiny-GGUF", "Hi")
    assert code == 1
    assert "Error: Not enough memory\n  2 GB are missing.\n" in err
    assert posts(service) == ["POST /plan"]


def test_an_image_goes_with_the_question(busy: Script, run: Run, tmp_path: Any) -> None:
    image = tmp_path / "cat.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n...")
    assert run("run", "Tiny-GGUF", "What is it?", "--image", str(image))[0] == 0
    content = next(body for call, body in busy.calls if "chat" in call)["messages"][-1]["content"]
    assert content[0]["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert content[1] == {"type": "text", "text": "What is it?"}


@pytest.mark.parametrize(("data", "said"), [(None, "cannot be read"), (b"hello", "is not an image")])
def test_a_wrong_image_is_refused_before_anything_is_done(
    service: Script, run: Run, tmp_path: Any, data: bytes | None, said: str
) -> None:
    image = tmp_path / "cat.png"
    if data is not None:
        image.write_bytes(data)
    code, _, err = run("run", "Tiny-GGUF", "What is it?", "--image", str(image))
    assert code == 2
    assert said in err and "Next: " in err
    assert service.calls == []
