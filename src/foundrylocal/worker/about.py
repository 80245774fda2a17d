"""Print what the built-in engine is, as one line of JSON: its version and the instruction sets it was built for.

Run as `python -m foundrylocal.worker.about`, in a process of its own: on a processor that lacks an instruction,
loading the engine's library may kill the process.
"""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any

# The engine's own functions `ggml_cpu_has_NAME`, which tell what it was compiled for.
INSTRUCTION_SETS = (
    "sse3", "ssse3", "avx", "avx2", "f16c", "fma", "bmi2", "avx_vnni", "avx512", "avx512_vbmi", "avx512_vnni",
    "avx512_bf16", "amx_int8", "neon", "arm_fma", "fp16_va", "dotprod", "matmul_int8", "sve", "sme",
)  # fmt: skip


def instruction_sets(library: Any) -> list[str]:
    """The instruction sets that the library uses, of those that it can be asked about."""
    asked = ((name, getattr(library, f"ggml_cpu_has_{name}", None)) for name in INSTRUCTION_SETS)
    return [name for name, function in asked if function is not None and function()]


def main() -> None:
    # The engine's libraries may print to stdout while they start: only our line belongs there.
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import xllamacpp
    from xllamacpp import xllamacpp as native

    about = {
        "version": str(xllamacpp.__version__),
        "instruction_sets": instruction_sets(ctypes.CDLL(native.__file__)),
    }
    report.write(json.dumps(about) + "\n")
    report.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
