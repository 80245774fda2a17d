"""What pip prints becomes an error that a person understands and that gives no address away."""

from __future__ import annotations

import errno

import pytest

from foundrylocal.catalog.registry import PackagePart
from foundrylocal.downloads.sources.pip_output import failure
from foundrylocal.errors import ChecksumMismatch, DownloadFailed

PART = PackagePart("some-model", "1.0", "some_model-1.0-py3-none-any.whl", "a" * 64, 5, "m")
NO_MATCH = "ERROR: No matching distribution found for some-model==1.0"


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ([NO_MATCH], "does not have some-model 1.0"),
        (["WARNING: Retrying (Retry(total=0)) after 'host=\"secret.example\"'", NO_MATCH], "not be reached"),
        (["ERROR: 403 Client Error: Forbidden for url: https://u:p@secret.example/x"], "refused access"),
        (
            ["SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED secret.example'))"],
            "certificate",
        ),
        (["something new at secret.example"], "exit code 1"),
        ([], "exit code 1"),
    ],
)
def test_a_failure_is_put_in_words(output: list[str], words: str) -> None:
    error = failure(output, 1, PART)
    assert isinstance(error, DownloadFailed)
    assert words in str(error.details)
    assert "secret" not in str(error.details)


def test_a_wrong_hash_is_a_checksum_mismatch() -> None:
    output = [f"        Expected sha256 {'a' * 64}", f"             Got        {'b' * 64}"]
    error = failure(output, 1, PART)
    assert isinstance(error, ChecksumMismatch)
    assert "b" * 64 in str(error.details)


def test_a_full_disk_is_told_as_one() -> None:
    error = failure(["ERROR: Could not install: [Errno 28] No space left on device"], 1, PART)
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
