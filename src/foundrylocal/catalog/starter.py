"""The starter model: small enough for every machine; `foundrylocal run` and the doctor use it by default."""

from __future__ import annotations

STARTER_MODEL = "SmolLM2-135M-Instruct-Q4_1-GGUF"
