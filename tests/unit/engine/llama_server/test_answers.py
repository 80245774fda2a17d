"""What the answers of a binary mean."""

from __future__ import annotations

import pytest

from foundrylocal.engine.devices import DeviceKind
from foundrylocal.engine.llama_server import answers
from foundrylocal.engine.llama_server.probe import ProbeAnswer

DEVICES = """ggml_cuda_init: found 1 CUDA devices:
Available devices:
  CUDA0: NVIDIA GeForce RTX 4090 (24217 MiB, 23500 MiB free)
  Vulkan1: Intel(R) UHD Graphics 770 (ADL-S GT1) (15844 MiB, 14259 MiB free)
  Metal: Apple M2 Pro (21845 MiB, 21844 MiB free)
  BLAS: OpenBLAS (0 MiB, 0 MiB free)
  ROCm0: AMD Radeon RX 7900 XTX (24560 MiB, 24000 MiB free)
"""


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("version: 11549 (0a1b2c3)\nbuilt with GNU 14 for Linux x86_64\n", "b11549 (0a1b2c3)"),
        ("ggml_cuda_init: found 1 device\nversion: 11549 (0a1b2c3)\n", "b11549 (0a1b2c3)"),
        ("version: 0 (unknown)\n", "unknown"),
        ("version: 0.6.0-dev (build 0, commit unknown)\nbuilt with GNU 12.2.0\n", "0.6.0-dev"),
        ("version: 0.6.0 (build 11549, commit 0a1b2c3)\n", "0.6.0 b11549 (0a1b2c3)"),
        ("version: now (x)\n", None),
        ("nginx version: nginx/1.26\n", None),
        ("", None),
    ],
)
def test_the_version_is_found_wherever_it_stands(text: str, version: str | None) -> None:
    assert answers.read_version(text) == version


def test_devices_with_their_kind_and_memory() -> None:
    found = answers.read_devices(DEVICES)
    assert [(one.name.partition(":")[0], one.kind) for one in found] == [
        ("CUDA0", DeviceKind.GPU),
        ("Vulkan1", DeviceKind.INTEGRATED),
        ("Metal", DeviceKind.INTEGRATED),
        ("BLAS", DeviceKind.ACCELERATOR),
        ("ROCm0", DeviceKind.GPU),
    ]
    assert (found[0].memory_bytes, found[0].free_bytes) == (24217 << 20, 23500 << 20)
    assert found[1].name == "Vulkan1: Intel(R) UHD Graphics 770 (ADL-S GT1)"


def test_a_long_list_of_devices_is_cut() -> None:
    line = "  CUDA0: A GPU (1 MiB, 1 MiB free)\n"
    assert len(answers.read_devices(line * 10_000)) == 64


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (ProbeAnswer("version: 11549 (0a1b2c3)\n", 0), None),
        (ProbeAnswer("", None, start_error="Exec format error"), "cannot be started: Exec format error"),
        (ProbeAnswer("", None), "did not finish within 10 s"),
        (ProbeAnswer("", -4), "uses instructions that this processor does not have"),
        (ProbeAnswer("", -6), "crashed with SIGABRT"),
        (ProbeAnswer("", -63), "crashed with signal 63"),
        (ProbeAnswer("oops", 3), "failed with exit code 3"),
        (ProbeAnswer("nginx version: nginx/1.26\n", 0), "is not a llama-server"),
        (
            ProbeAnswer("x: error while loading shared libraries: libcudart.so.12: cannot open", 127),
            "needs the library libcudart.so.12",
        ),
    ],
)
def test_an_answer_says_why_a_binary_cannot_be_used(answer: ProbeAnswer, says: str | None) -> None:
    problem = answers.version_problem("llama-server", answer, 10.0)
    if says is None:
        assert problem is None
    else:
        assert problem is not None
        assert says in problem.message
        assert problem.action


def test_a_binary_that_does_not_answer_is_not_called_too_old() -> None:
    problem = answers.answer_problem("llama-server", "--help", ProbeAnswer("", None), 10.0)
    assert problem is not None
    assert problem.message == "llama-server --help did not finish within 10 s."


def test_a_binary_that_lacks_what_the_service_uses_is_too_old() -> None:
    assert answers.flags_problem("llama-server", answers.REQUIRED_FLAGS | {"--more"}) is None
    problem = answers.flags_problem("llama-server", answers.REQUIRED_FLAGS - {"--kv-unified", "--offline"})
    assert problem is not None
    assert problem.message == "llama-server is too old: it has no --kv-unified, --offline."
    assert "newer" in problem.action
    none_of_them = answers.flags_problem("llama-server", frozenset())
    assert none_of_them is not None
    assert "more" in none_of_them.message


def test_flags_are_read_from_the_help() -> None:
    text = (
        "-c,    --ctx-size N       size (default: 4096)\n-kvu,  --kv-unified, -no-kvu, --no-kv-unified  x\n"
    )
    assert answers.read_flags(text) == {"--ctx-size", "--kv-unified", "--no-kv-unified"}
