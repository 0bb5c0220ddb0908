# Everything happens inside .venv; nothing is installed outside it. Models are kept in the
# user's cache folder (ADHERE_CACHE to choose another).

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

export HF_HUB_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help setup demo test lint format clean

help:
	@echo "make demo    align the small student to the example code of conduct, and report"
	@echo "make test    all tests, with the small real models"
	@echo "make lint    formatting, lint and types"
	@echo "make format  put formatting and imports in order"
	@echo "make setup   .venv with the pinned versions"
	@echo "make clean   remove .venv and all caches of the tools; runs/ stays"

demo: setup
	$(BIN)/adhere run examples/code-of-conduct.md --out runs/demo --clauses.max-per-passage 1 --generate.examples 2 --generate.pairs 2 --generate.attempts 3

test: setup
	$(BIN)/pytest

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(READY)

# torch goes first: where the index offers a CPU build of the pinned version, it is taken here,
# and nothing that comes after replaces it. A plain public index on Linux offers the CUDA build;
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu saves its gigabytes.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("adhere needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv, once; this takes a few minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all]" --group dev
	@touch $@

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
