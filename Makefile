# Every target works on a fresh machine with Python 3.11 or later: it makes its own environment first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.dev
ORACLE := $(VENV)/.oracle

.PHONY: setup demo test test-all lint format bench docs snapshots clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(ORACLE): $(STAMP)
	$(BIN)/python -m pip install --quiet --editable '.[dev,oracle]'
	touch $@

# A real fine-tune of a real 135M model, a few minutes on 2 cores, with the same questions before and after.
demo: $(STAMP)
	PATH="$(abspath $(BIN)):$$PATH" sh examples/demo.sh

test: $(STAMP)
	$(BIN)/python -m pytest -m "not slow" -n auto

test-all: $(ORACLE)
	$(BIN)/python -m pytest -n auto

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m benchmarks.sft $(BENCH)

# Files that are generated from the code and checked by tests.
docs snapshots: $(STAMP)
	$(BIN)/python -m swift.config.reference > docs/reference.md
	$(BIN)/python -m swift.tuners.reference docs/tuners.md
	$(BIN)/python -m tests.rules.flags > tests/rules/flags.txt
	$(BIN)/python -m tests.zoo.record

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
