# Every target sets up what it needs in .venv on a fresh machine. Variables: PYTHON (3.10 or newer), SEED, ARGS.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup renderer demo test check format bench bench-presets lock clean

PYTHON ?= python3
SEED ?= 0
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q -c constraints.txt
export UV_HTTP_RETRIES := 0
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
TORCH := $(shell sed -n 's/^\(torch==[^ ;]*\).*/\1/p' constraints.txt)
BACKEND := $(if $(shell nvidia-smi -L 2>/dev/null),auto,cpu)
ifeq ($(shell uname),Linux)
# Draw without a display.
export MUJOCO_GL ?= egl
endif

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: $(READY) renderer  ## from demonstrations to a reliable policy in the twin, with video and report
	$(BIN)/robot-rl demo --seed $(SEED) $(ARGS)

test: $(DEV) renderer  ## run the tests on all cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(ARGS)

check: $(DEV)  ## lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_rules.py tests/test_bans.py

format: $(DEV)  ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) renderer  ## speed of environment and learner on this machine
	$(BIN)/python -m benchmarks.speed $(ARGS)

bench-presets: $(READY)  ## presets against one another on two tasks, three seeds; hours, resumable
	$(BIN)/python -m benchmarks.presets $(ARGS)

setup: $(DEV) renderer  ## only set up

lock: $(DEV)  ## renew constraints.txt
	$(PIP) uv
	$(BIN)/python -m uv pip compile -q --universal --python-version 3.10 --extra dev --no-header --no-annotate \
	    -c <(echo $(TORCH)) pyproject.toml -o $(VENV)/lock.txt
	{ sed -n '/^#/p' constraints.txt; cat $(VENV)/lock.txt; } > $(VENV)/lock && mv $(VENV)/lock constraints.txt

clean:  ## remove the virtual environment
	rm -rf $(VENV)

# torch first: a machine without a GPU gets the CPU build, if need be from the package index that plain pip is set up for.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "Python 3.10 or newer is needed, $(PYTHON) is older: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	    { echo "no virtual environment can be made here: on Debian or Ubuntu, apt-get install python3-venv" >&2; exit 2; }
	@echo "installing into $(VENV) (once; torch backend: $(BACKEND))" >&2
	@$(BIN)/python -c 'import torch' 2>/dev/null || { $(PIP) uv && $(BIN)/python -m uv pip install -q \
	    --python $(BIN)/python --torch-backend=$(BACKEND) $(TORCH) 2>/dev/null; } || $(PIP) $(TORCH)
	@$(PIP) -e .
	@touch $@

$(DEV): $(READY)
	@$(PIP) -e '.[dev]'
	@touch $@

renderer:
	@bash .ci/renderer
