"""What a worker gets of the service's environment."""

from __future__ import annotations

import pytest

from foundrylocal.engine.environment import worker_environment


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "NETRC",
        "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "FOUNDRYLOCAL_MANAGEMENT_KEY", "HTTPS_PROXY", "https_proxy",
        "GIT_ASKPASS", "SSH_AUTH_SOCK", "DATABASE_URL", "PYTHON_KEYRING_BACKEND", "GGML_TOKEN", "Cuda_Password",
        "LLAMA_API_KEY", "LLAMA_ARG_MODEL", "ANYTHING_ELSE",
    ],
)  # fmt: skip
def test_what_may_hold_a_secret_stays_in_the_service(name: str) -> None:
    assert worker_environment({name: "x"}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONUTF8", "OMP_NUM_THREADS",
        "CUDA_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
        "VK_ICD_FILENAMES", "SystemRoot", "LocalAppData", "XDG_DATA_DIRS", "XDG_CACHE_HOME", "ZES_ENABLE_SYSMAN",
        "CUBLAS_WORKSPACE_CONFIG",
    ],
)  # fmt: skip
def test_what_an_engine_needs_passes(name: str) -> None:
    assert worker_environment({name: "x"}) == {name: "x"}
