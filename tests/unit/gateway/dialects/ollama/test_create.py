"""What /api/create makes of a request or a Modelfile."""

from __future__ import annotations

from typing import Any

import pytest

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.dialects.ollama.library.create import read_create
from foundrylocal.gateway.dialects.ollama.library.modelfile import read_modelfile
from foundrylocal.gateway.dialects.ollama.library.parameters import parameter_lines
from foundrylocal.gateway.dialects.ollama.library.shapes import CreateBody

MODELFILE = """# A comment
FROM llama3.2
PARAMETER temperature 0.5
parameter num_ctx 4096
PARAMETER stop "<|end|>"
PARAMETER stop user:
SYSTEM \"\"\"
You are Mario.
Say so.
\"\"\"
"""


def test_a_request_is_a_base_and_a_preset() -> None:
    parameters = {"num_ctx": 4096, "num_predict": 7, "seed": 42, "num_keep": 5, "num_gpu": 1}
    base, preset = read_create(
        CreateBody("mario", from_="llama3.2", system="You are Mario.", parameters=parameters)
    )
    assert base == "llama3.2"
    assert preset.saved() == {
        "context_size": 4096,
        "max_tokens": 7,
        "seed": 42,
        "system_prompt": "You are Mario.",
    }


def test_a_modelfile_says_the_same() -> None:
    base, preset = read_create(CreateBody("mario", modelfile=MODELFILE))
    assert base == "llama3.2"
    assert preset.saved() == {
        "context_size": 4096,
        "temperature": 0.5,
        "stop": ["<|end|>", "user:"],
        "system_prompt": "You are Mario.\nSay so.",
    }
    lines = [line.split(maxsplit=1) for line in parameter_lines(preset).splitlines()]
    assert ["num_ctx", "4096"] in lines and ["stop", '"<|end|>"'] in lines
    assert read_modelfile('SYSTEM "short"').system == "short"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "from"),
        ({"from_": "a", "template": "{{ .Prompt }}"}, "template"),
        ({"from_": "a", "files": {"a": "sha256:0"}}, "files"),
        ({"from_": "a", "quantize": "q4_K_M"}, "quantize"),
        ({"from_": "a", "parameters": {"mirostat": 1}}, "parameters.mirostat"),
        ({"from_": "a", "parameters": {"temperature": "hot"}}, "parameters.temperature"),
        ({"modelfile": "FROM a\nADAPTER ./x"}, "modelfile"),
        ({"modelfile": 'FROM a\nSYSTEM """never'}, "modelfile"),
    ],
)
def test_what_is_not_supported_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_create(CreateBody("x", **fields))
    assert caught.value.param == param
