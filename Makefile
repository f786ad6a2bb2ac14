# Tangram: `make run` shows the product, `make test` proves it. See README.md.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
WORKERS ?= 2
export PYTHONDONTWRITEBYTECODE ?=

.DEFAULT_GOAL := check
.PHONY: check setup run test soak bench format lint types lock clean

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: on Debian/Ubuntu run 'apt-get install python3-venv'"; exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.python requirements.lock pyproject.toml
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.assets: $(VENV)/.installed package-lock.json package.json renderer/assets.py renderer/static/icons.txt
	@command -v npm >/dev/null 2>&1 || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-assets.lock
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m renderer.assets
	@touch $@

$(VENV)/.testing: $(VENV)/.assets requirements-test.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-test.lock
	@touch $@

setup: $(VENV)/.assets

run: setup
	@$(BIN)/tangram serve --first-run-demo real_estate

test: $(VENV)/.testing
	@$(BIN)/python -m tests.prepare
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests

soak: $(VENV)/.testing
	@$(BIN)/python -m tests.prepare
	@TANGRAM_TEST_SIZE=full $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests

check: $(VENV)/.testing lint types
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/test_architecture.py tests/metadata tests/contracts tests/presets

lint: $(VENV)/.testing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/.testing
	@$(BIN)/mypy

format: $(VENV)/.testing
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.testing
	@$(BIN)/python -m tests.bench

# Rewrites the lock files from pyproject.toml (needs the package 'uv'); they hold hashes and no addresses.
lock:
	@uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --extra build -o requirements.lock pyproject.toml
	@uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --extra build --extra test -c requirements.lock -o requirements-test.lock pyproject.toml
	@uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --extra build --extra assets -c requirements.lock -o requirements-assets.lock pyproject.toml

clean:
	@rm -rf $(VENV) node_modules build dist *.egg-info
