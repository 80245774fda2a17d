"""How long the service may be silent on a call; calls that answer when their work is done get more time."""

from __future__ import annotations

CALL_TIMEOUT_S = 30.0
SEARCH_TIMEOUT_S = 60.0
DOCTOR_TIMEOUT_S = 90.0
UNLOAD_TIMEOUT_S = 120.0
TUNE_TIMEOUT_S = 180.0
LOAD_TIMEOUT_S = 600.0
VERIFY_TIMEOUT_S = 3600.0
DOWNLOAD_TIMEOUT_S = 86_400.0
# A stream sends at least a comment every 15 s.
STREAM_TIMEOUT_S = 60.0
