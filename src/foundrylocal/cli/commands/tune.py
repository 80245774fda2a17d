"""`foundrylocal tune`: measure what suits a model on this machine, and save that as its preset."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.operations import follow
from foundrylocal.cli.render import progress_beside, table


def command(model: Model, as_json: AsJson = False) -> None:
    """Find what makes a model fast here, and save it.

    Threads, batches and the cache type, measured in at most two minutes and saved as the model's preset.

    \b
    Examples:
      foundrylocal tune SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    api = ManagementClient()
    with progress_beside(as_json=as_json):
        answer = follow(api, model_path(model, "/tune-stream"), None, lambda: api.delete("/tune"))
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    rows = [_row("before", answer["before"])]
    if answer["is_saved"]:
        rows.append(_row("after", answer["after"]))
    table(("", "THREADS", "BATCH", "CACHE", "PROMPT TOKENS/S", "ANSWER TOKENS/S"), rows)


def _row(name: str, measured: dict[str, Any]) -> tuple[str, ...]:
    options = measured["options"]
    return (
        name,
        str(options["threads"] or "auto"),
        str(options["batch_tokens"] or "auto"),
        options["kv_cache_type"],
        f"{measured['prefill_tokens_per_second']:.0f}",
        f"{measured['decode_tokens_per_second']:.1f}",
    )
