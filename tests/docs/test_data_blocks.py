"""Settings of other programs and answers that pages show: they parse, and their addresses and names exist here."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts.api_doc import document

from foundrylocal.catalog.registry import Registry
from foundrylocal.errors import PortInUse
from foundrylocal.settings.schema import Settings
from foundrylocal.web.errors import error_object
from tests.docs.blocks import PAGES, Block, all_blocks, marked
from tests.running import BASE_PATH, REPOSITORY

PARSERS: dict[str, Callable[[str], Any]] = {
    "yaml": yaml.safe_load,
    "toml": tomllib.loads,
    "json": json.loads,
}
DATA = [(page, block) for page, blocks in marked("data").items() for block in blocks]
OLLAMA_PORT = 11434
_ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):(\d{2,5})")
_MANAGED = re.compile(BASE_PATH + r"(/[a-z/-]{0,100})(?=[\s\"'?]|$)", re.MULTILINE)
_MODEL = re.compile(r"(?<![\w.-])[A-Za-z][\w.-]{1,60}-GGUF\b")


@pytest.mark.parametrize(("page", "block"), DATA, ids=lambda value: getattr(value, "name", None))
def test_it_parses(page: Path, block: Block) -> None:
    language = block.mark.partition(" ")[0]
    assert PARSERS[language](block.text), f"{page.name}:{block.line}"


def every_block() -> Iterator[tuple[str, Block]]:
    for page in PAGES:
        yield from ((f"{page.name}:{block.line}", block) for block in all_blocks(page))


def test_every_address_has_a_port_of_the_service() -> None:
    settings = Settings()
    known = {
        settings.api_port,
        settings.port,
        OLLAMA_PORT,
        4318,
    }  # 4318 is that of an OpenTelemetry collector
    wrong = [
        (place, port)
        for place, block in every_block()
        for port in _ADDRESS.findall(block.text)
        if int(port) not in known
    ]
    assert wrong == []


def test_every_path_of_the_management_api_exists() -> None:
    paths = {path.removeprefix(BASE_PATH) for path in document()["paths"]}
    found = [(place, path) for place, block in every_block() for path in _MANAGED.findall(block.text)]
    assert len(found) > 5
    assert [(place, path) for place, path in found if path not in paths] == []


def test_every_model_with_a_name_of_the_catalog_is_in_it() -> None:
    registry = Registry.load()
    named = {
        name
        for _, block in every_block()
        if not block.text.startswith("Usage: ")  # names are broken at the ends of its lines
        for name in _MODEL.findall(block.text)
    }
    # Repositories of the hub, and what pulling from one of them makes.
    named -= {"Llama-3.2-1B-Instruct-GGUF", "Llama-3.2-1B-Instruct-Q5_K_M-GGUF", "SmolLM2-135M-Instruct-GGUF"}
    assert len(named) > 5
    for name in named:
        assert registry.find(name).model_id.endswith(name)


def test_prometheus_is_pointed_at_the_metrics() -> None:
    (block,) = marked("data")[REPOSITORY / "docs" / "how-to" / "watch-it.md"]
    (job,) = yaml.safe_load(block.text)["scrape_configs"]
    assert job["metrics_path"] in document()["paths"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{Settings().api_port}"]}]


def test_the_error_that_is_shown_is_the_one_that_is_sent() -> None:
    (block,) = marked("data")[REPOSITORY / "docs" / "reference" / "errors.md"]
    assert json.loads(block.text)["error"] == error_object(PortInUse(1234))
