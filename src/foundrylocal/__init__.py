"""FoundryLocal: a language model on this machine, managed over a plain HTTP API."""

__version__ = "0.1.0"
API_VERSION = "2.0.0"
