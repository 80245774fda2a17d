"""Why a load failed: from how the worker ended and what the engine wrote last to an error that says what to do.

Invariant: every end has an explanation. What no rule knows is explained in the engine's own words, or by how the
process ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from foundrylocal.engine.llama_cpp.log import without_folders
from foundrylocal.engine.missing_library import PATTERN as MISSING_LIBRARY
from foundrylocal.engine.missing_library import how_to_install
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import (
    FoundryLocalError,
    LoadOutOfMemory,
    ModelCorrupted,
    ModelUnsupported,
    ServerStartFailed,
    SystemExhausted,
    sentence,
)
from foundrylocal.kit.sizes import format_bytes


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """What is known of a worker that ended before it was ready.

    `code` is its exit code, below 0 a signal, None when it was never started; `description` says the same for people.
    `lines` are the engine's last ones, `reason` the one among them, or in the worker's report, that says why.
    `resident_bytes` is the most memory it was seen with, `was_out_of_memory` whether the kernel ended a process for
    lack of memory meanwhile.
    """

    code: int | None
    description: str
    lines: Sequence[str] = ()
    reason: str | None = None
    resident_bytes: int = 0
    was_out_of_memory: bool = False


def diagnose(end: WorkerExit, spec: ReplicaSpec) -> FoundryLocalError:
    """The error to tell the caller of the load."""
    for pattern, explain in _RULES:
        for line in end.lines if end.reason is None else (*end.lines, end.reason):
            if (found := pattern.search(line)) is not None:
                return explain(_Case(end, spec, line, found))
    if end.code in _ILLEGAL_INSTRUCTION:
        return ServerStartFailed(_MISSING_INSTRUCTION)
    if end.code == -_SIGKILL:
        return _killed(end, spec)
    return ServerStartFailed(sentence(end.reason or end.description or "The worker could not be started."))


@dataclass(frozen=True, slots=True)
class _Case:
    """A line that a rule knows, with everything around it."""

    end: WorkerExit
    spec: ReplicaSpec
    line: str
    found: re.Match[str]

    @property
    def model_name(self) -> str:
        return self.spec.model_id.rpartition("/")[2]

    @property
    def words(self) -> str:
        """The line as a sentence, without folders and without the function that logged it."""
        line = without_folders(self.line)
        said = line.rpartition("error loading model: ")[2] if "error loading model: " in line else line
        return f"The engine says: {sentence(_FUNCTION.sub('', said))}"


_FUNCTION: Final = re.compile(r"^(?:[a-z]{2,4} {1,8})?[\w~()]{1,80}: {1,4}(?:error: )?")
_SIGKILL: Final = 9  # not in `signal` on Windows
_ILLEGAL_INSTRUCTION: Final = (-4, 0xC000001D)  # SIGILL, and what it is called on Windows
_MISSING_INSTRUCTION: Final = (
    "The engine was built for a newer processor: it used an instruction that this processor does not have. "
    "Install a build of xllamacpp for this processor, or use a llama-server of your own (setting engines)."
)
_LESS_MEMORY: Final = (
    "Use a smaller context_size, a kv_cache_type of q8_0 or a smaller model, or unload other models and close other "
    "programs."
)


def _out_of_memory(case: _Case) -> FoundryLocalError:
    size = case.found.groupdict().get("bytes")
    amount = f" {format_bytes(int(size))}" if size else ""
    need = format_bytes(case.spec.memory_bytes)
    return LoadOutOfMemory(
        f"The system refused{amount or ' memory'} for {_what_needed_it(case.end.lines)}. The model needs about "
        f"{need} with these options, and had {format_bytes(case.end.resident_bytes)}. {_LESS_MEMORY}"
    )


def _what_needed_it(lines: Sequence[str]) -> str:
    text = "\n".join(lines).lower()
    if "kv cache" in text or "kv_cache" in text or "memory_recurrent" in text:
        return "the context (KV cache)"
    if "compute buffer" in text or "graph_reserve" in text:
        return "the compute buffers"
    return "the model's weights"


def _killed(end: WorkerExit, spec: ReplicaSpec) -> FoundryLocalError:
    sizes = f"The model needs about {format_bytes(spec.memory_bytes)} with these options."
    if end.resident_bytes:  # 0 when it ended before anybody looked
        sizes = f"It had {format_bytes(end.resident_bytes)} of memory. {sizes}"
    if end.was_out_of_memory:
        return LoadOutOfMemory(
            "The system ran out of memory and ended the worker (out-of-memory killer, or the memory limit of a "
            f"control group or container). {sizes} {_LESS_MEMORY}"
        )
    return ServerStartFailed(
        f"The worker was killed by SIGKILL. {sizes} Unless somebody killed it, the system ran out of memory. "
        f"{_LESS_MEMORY}"
    )


def _no_threads(case: _Case) -> FoundryLocalError:
    return SystemExhausted(f"The engine could not start a thread ({case.found['why']})")


def _internal_check(case: _Case) -> FoundryLocalError:
    return ServerStartFailed(
        f"The engine stopped at an internal check. {case.words} Another context_size, kv_cache_type or version of "
        "the engine may avoid it."
    )


def _damaged(case: _Case) -> FoundryLocalError:
    return ModelCorrupted(case.model_name, case.words)


def _unknown_architecture(case: _Case) -> FoundryLocalError:
    return ModelUnsupported(
        f"This version of the engine does not know the model's architecture '{case.found['name']}'. Upgrade the "
        "engine (pip install --upgrade xllamacpp), use a newer llama-server (setting engines), or choose another "
        "model."
    )


def _unknown_format(case: _Case) -> FoundryLocalError:
    return ModelUnsupported(
        f"This version of the engine cannot read the model's file, which was made for another version. {case.words} "
        "Upgrade the engine (pip install --upgrade xllamacpp), or choose another file of the model. If it worked "
        f"before, check the file: POST /models/{case.model_name}/verify."
    )


def _wrong_projector(case: _Case) -> FoundryLocalError:
    projector = f" '{case.spec.projector_path.name}'" if case.spec.projector_path else ""
    return ModelUnsupported(
        f"The projector{projector} (for images and audio) does not belong to this model, or this version of the "
        f"engine does not know its kind. {case.words} Delete the model, and download or import it with its own "
        "projector."
    )


def _unsupported_options(case: _Case) -> FoundryLocalError:
    return ModelUnsupported(
        f"The model cannot be loaded with this kv_cache_type. {case.words} Use kv_cache_type f16 for this model."
    )


def _cannot_listen(case: _Case) -> FoundryLocalError:
    return ServerStartFailed(
        f"The worker cannot listen for requests. {case.words} Check that the folder for temporary files is writable "
        "and its path is short, and that no other program blocks sockets or loopback ports; then start again."
    )


def _missing_library(case: _Case) -> FoundryLocalError:
    return ServerStartFailed(
        f"The engine needs a library that is not on this system. {how_to_install(case.line) or case.words}"
    )


# In order: the first rule that knows one of the lines explains the failure.
_RULES: Final[tuple[tuple[re.Pattern[str], Callable[[_Case], FoundryLocalError]], ...]] = (
    (MISSING_LIBRARY, _missing_library),
    (re.compile(r"(?i)unknown model architecture: '(?P<name>[^']{1,100})'"), _unknown_architecture),
    (re.compile(r"(?i)mismatch between text model|unknown projector type"), _wrong_projector),
    (
        re.compile(
            r"(?i)failed to load multimodal model|failed to load clip model|mtmd_init_from_file: error"
        ),
        _wrong_projector,
    ),
    (re.compile(r"(?i)quantized v cache requires|cache type \w{1,20} with block size"), _unsupported_options),
    (
        re.compile(r"(?i)failed to allocate [a-z0-9_ ]{0,60}buffer of size (?P<bytes>\d{1,18})"),
        _out_of_memory,
    ),
    (
        re.compile(r"(?i)failed to allocate (?:compute |graph |\w{0,40} ?buffer|memory)|unable to allocate"),
        _out_of_memory,
    ),
    (
        re.compile(
            r"(?i)out of memory|insufficient memory|cannot allocate memory|std::bad_alloc|bad allocation|memoryerror"
        ),
        _out_of_memory,
    ),
    (
        re.compile(
            r"(?i)not within the file bounds|corrupted or incomplete|invalid magic|unexpectedly reached end of file"
        ),
        _damaged,
    ),
    (
        re.compile(
            r"(?i)failed to read (?:magic|header|key-value|tensor)|read error|duplicate (?:key|tensor)"
        ),
        _damaged,
    ),
    (
        re.compile(
            r"(?i)has invalid data|failed to open gguf file|failed to open '?[^:]{0,200}: no such file"
        ),
        _damaged,
    ),
    (
        re.compile(
            r"(?i)invalid ggml type|unknown pre-?tokenizer type|unknown tokenizer|unsupported gguf version"
        ),
        _unknown_format,
    ),
    (
        re.compile(r"(?i)missing tensor|wrong number of tensors|has wrong shape|key not found in model"),
        _unknown_format,
    ),
    (re.compile(r"(?i)tensor '[^']{1,100}' not found|cannot find tokenizer vocab"), _unknown_format),
    (re.compile(r"(?i)error loading model (?:hyperparameters|vocabulary)"), _unknown_format),
    (re.compile(r"(?i)what\(\): {1,4}(?P<why>resource temporarily unavailable)"), _no_threads),
    (
        re.compile(
            r"(?i)couldn't bind|could not bind|failed to bind|address already in use|failed to listen"
        ),
        _cannot_listen,
    ),
    (re.compile(r"(?i)GGML_(?:ASSERT|ABORT)|terminate called"), _internal_check),
)
