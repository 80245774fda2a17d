"""What a program should do next, by error code; the command line has its own table."""

from __future__ import annotations

NEXT_STEPS = {
    "model_not_found": "Take a name from models.list(), or from `details`.",
    "model_not_downloaded": "Call models.download(MODEL) first.",
    "server_already_running": "Call switch(MODEL), or stop() first.",
    "operation_in_progress": "Wait until status() is running or stopped, or call stop().",
    "operation_cancelled": "Repeat the call if it is still wanted.",
    "port_in_use": "Pass another port; 0 takes any free one.",
    "model_in_use": "Call models.unload(MODEL) first, or stop() or switch(OTHER_MODEL) for the current model.",
    "server_start_timeout": "Pass options={'timeout_seconds': 600}, or choose a smaller model.",
    "server_start_failed": "Read logs(level='ERROR').",
    "worker_crashed": "Repeat the call; if it happens again, read logs(level='ERROR').",
    "model_corrupted": "Call models.verify(MODEL, repair=True).",
    "download_failed": "Repeat the call: received bytes are kept.",
    "checksum_mismatch": "Repeat the call to download the file again.",
    "insufficient_disk_space": "Delete models that are not needed: models.delete(MODEL).",
    "insufficient_memory": "Call models.unload(MODEL) for another model, or choose a smaller context_size.",
    "invalid_api_key": "Pass management_key, or set FOUNDRYLOCAL_MANAGEMENT_KEY.",
    "queue_full": "Wait retry_after_s seconds, then repeat the call.",
    "model_loading": "Wait retry_after_s seconds, then repeat the call.",
    "system_exhausted": "Wait retry_after_s seconds, then repeat the call.",
    "server_shutting_down": "Start the service again.",
    "key_exists": "Choose another name, or call keys.remove(NAME) first.",
    "key_not_found": "Take a name from keys.list().",
    "request_not_found": "Take an id from requests.list().",
    "internal_error": "Read logs(level='ERROR').",
    "update_failed": "Read logs(level='ERROR').",
}
