"""The same work at FoundryLocal and at other local servers: `make bench-peers`."""
