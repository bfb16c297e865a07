# The two commands that matter: `make demo` and `make test`. Each sets up its own virtual environment first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench docs api errors clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test: $(VENV)/.installed tests/constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt -e ".[test]"
	@touch $@

$(VENV)/.lint: $(VENV)/.installed tests/constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt -e ".[lint]"
	@touch $@

$(VENV)/.bench: $(VENV)/.installed benchmarks/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

demo: $(VENV)/.installed  ## train the handwritten-digit reader on all of MNIST
	$(BIN)/python examples/digits.py

test: $(VENV)/.test  ## every test
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/.lint $(VENV)/.test  ## style, types, and the floors of the design
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

bench: $(VENV)/.bench  ## the table beside other frameworks, as Markdown and JSON
	$(BIN)/python -m benchmarks --json benchmarks/results.json --markdown benchmarks/results.md

docs: $(VENV)/.test  ## run every example of the guide pages
	$(BIN)/python -m pytest tests/test_docs.py

api: $(VENV)/.test  ## compare the public names with Keras's, and write docs/api-differences.md
	$(BIN)/python -m tools.api --markdown docs/api-differences.md

errors: $(VENV)/.test  ## write docs/errors.md, the catalogue of mistakes, from the table that the tests run
	$(BIN)/python -m tools.mistakes

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
