# Everything a machine needs beyond Python 3.11 or 3.12 (with headers), a C compiler and make is installed from the lock files.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
STAMP := $(VENV)/.installed
# durable_rules' own build script drops CFLAGS, so optimisation travels in CC.
DURABLE_CC := $(shell command -v gcc || echo cc) -O2 -fno-strict-aliasing

.DEFAULT_GOAL := help
.PHONY: help setup run test test-deep bench lint openapi examples lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(STAMP): requirements-build.lock requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-build.lock
	CC="$(DURABLE_CC)" $(BIN)/python -m pip install --quiet --require-hashes --no-build-isolation --no-cache-dir --no-binary durable-rules -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

setup: $(STAMP) ## build the environment in .venv from the hash-pinned lock files

lock: ## write the lock files again from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements-dev.lock

# glibc gives memory back at every engine session unless told not to; measured eightfold for small rule sets.
MALLOC := MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_TOP_PAD_=16777216 MALLOC_MMAP_THRESHOLD_=268435456

run: $(STAMP) ## start the demo service on PORT (default 8000)
	@PORT=$(PORT) $(BIN)/rules-service demo
	@$(MALLOC) PORT=$(PORT) $(BIN)/rules-service serve

lint: $(STAMP) ## formatting, ruff, mypy strict, import contracts, rule packs, the OpenAPI document
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/rules-service packs check
	$(BIN)/python -m tests.support.spectral

openapi: $(STAMP) ## write openapi/ and the generated rule pages again
	$(BIN)/python -m tests.support.generate

examples: $(STAMP) ## keep what every operation answers now as the examples of the contract
	$(BIN)/python -m tests.support.examples
	$(BIN)/python -m tests.support.generate

test: lint ## everything CI runs
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not deep"

test-deep: $(STAMP) ## the slow suites
	$(BIN)/python -m pytest -n 2 --dist loadfile -m deep

bench: $(STAMP) ## measure side by side, print ratios, write build/bench.json
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-bench.lock
	$(MALLOC) $(BIN)/python -m benchmarks

clean: ## remove what was built
	rm -rf $(VENV) build data *.egg-info
