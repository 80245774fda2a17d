# Each target makes what it needs from nothing but python3; a second run is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test check bench format fuzz fuzz-gguf storm soak clients clean

run: $(VENV)/.runtime
	$(BIN)/foundrylocal run $(ARGS)

test: check
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --platform linux
	$(BIN)/mypy --platform darwin
	$(BIN)/mypy --platform win32
	$(BIN)/lint-imports --no-cache
	$(BIN)/python scripts/sizes.py

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks $(ARGS)

# Two minutes each: the API from its own description, and many clients at once; ten of hostile GGUF files.
fuzz: $(VENV)/.fuzz
	$(BIN)/python -m scripts.fuzz_api $(ARGS)

fuzz-gguf: $(VENV)/.fuzz
	$(BIN)/python scripts/fuzz_gguf.py --seconds 600 $(ARGS)

storm: $(VENV)/.dev
	$(BIN)/python -m scripts.storm $(ARGS)

# Ten minutes of the real engine: requests of every kind, clients that leave, killed workers, switches, downloads.
soak: $(VENV)/.dev
	$(BIN)/python -m scripts.soak $(ARGS)

# The clients pin old versions of what the service uses itself, so they have an environment of their own.
clients:
	$(MAKE) VENV=.venv-clients .venv-clients/.clients
	.venv-clients/bin/python -m pytest tests/e2e/test_clients.py tests/e2e/test_clients_node.py $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# pip 25.1 or newer is a dependency: it goes first, so that the old one of the venv installs nothing else.
$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[fuzz]"
	@touch $@

$(VENV)/.clients: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[clients]"
	@touch $@

clean:
	rm -rf $(VENV) .venv-clients .mypy_cache .ruff_cache .test-models
