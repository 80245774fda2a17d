"""Every screen by its address, with words that it shows when it is complete."""

from __future__ import annotations

from tests.running import CHAT_MODEL

SCREENS = {
    "overview": "Loaded models",
    "models": CHAT_MODEL.removesuffix("-Q4_1-GGUF"),
    "models?tab=catalogue": "Showing",
    "models?find=a-name-that-no-model-has": "No model matches",
    "models?tab=hub": "Any GGUF model",
    "models?tab=other": "Import a file",
    f"models/{CHAT_MODEL}": "Parameters",
    f"models/{CHAT_MODEL}?view=memory": "free for a model",
    f"models/{CHAT_MODEL}?view=settings": "Answers",
    "chat": "Send",
    "requests": "Since the service started",
    "logs": "Engine lines",
    "connect": "Base URL",
    "cluster": "Models run on this machine only",
    "settings": "Memory that stays free",
}
