"""Which environment variables a worker inherits: what a process, an interpreter and an engine need, and no secrets.

Invariant: this is an allowlist; a variable that is not listed here is not passed on.
"""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = frozenset((
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME", "XDG_DATA_DIRS", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_CACHE_HOME",
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
    "PROGRAMDATA", "PROGRAMFILES", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "PROCESSOR_IDENTIFIER",
))  # fmt: skip
_PREFIXES = (
    "LC_", "PYTHON", "MALLOC_", "OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_", "BLIS_",
    "GGML_", "CUDA_", "CUBLAS_", "NVIDIA_", "HIP_", "ROCR_", "ROCM_", "HSA_", "AMD_", "GPU_", "VK_", "MESA_", "RADV_",
    "ONEAPI_", "SYCL_", "ZE_", "ZES_", "UR_", "MTL_", "METAL_", "ASCEND_", "MUSA_",
)  # fmt: skip
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a worker inherits; names are compared ignoring case, as on Windows."""
    return {name: value for name, value in environment.items() if _passes(name.upper())}


def _passes(name: str) -> bool:
    is_listed = name in _NAMES or name.startswith(_PREFIXES)
    return is_listed and not any(word in name for word in _SECRET_WORDS)
