"""Errors of downloads and the disk. Import them from `foundrylocal.errors`."""

from __future__ import annotations

from foundrylocal.errors.base import FoundryLocalError, sentence


class DownloadFailed(FoundryLocalError):
    """The published details are fixed; what is known about this failure is added as `reason`."""

    type, code = "download_error", "download_failed"
    published_details = "Network connection error or model not available"

    def __init__(self, reason: str | None = None) -> None:
        super().__init__("Failed to download model", reason or self.published_details)


class ChecksumMismatch(FoundryLocalError):
    type, code = "download_error", "checksum_mismatch"

    def __init__(self, file_name: str, expected: str, actual: str) -> None:
        super().__init__(
            f"Checksum mismatch in downloaded file '{file_name}'",
            f"Expected sha256 {expected}, got {actual}. The file was discarded; download again.",
        )


class InsufficientDiskSpace(FoundryLocalError):
    type, code = "insufficient_resources", "insufficient_disk_space"

    def __init__(
        self, needed: str, free: str, folder: str, reserved: str | None = None, reserve: str | None = None
    ) -> None:
        part = f", {reserved} of it reserved for earlier downloads" if reserved else ""
        kept = f" {reserve} of what is needed stays free for other programs." if reserve else ""
        super().__init__(
            "Not enough disk space for the model",
            f"Needed: {needed}, free: {free} in {folder}{part}.{kept} Delete models, or set another cache_dir.",
        )


class DiskRefused(FoundryLocalError):
    """Reading or writing a file failed; `reason` is the operating system's error text."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what} failed: disk error", f"{sentence(reason)} No data was lost; try again.")
