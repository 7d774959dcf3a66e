# Two commands on a fresh machine with Python 3.11, pip and make: `make demo`, `make test`.
# All that is made goes into this folder; `make PYTHON=python3.13 VENV=.venv-3.13 test` takes another interpreter.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV = .venv
ARGS =
FOLDER =

BIN := $(VENV)/bin
# pip's cache would be outside the checkout; a broken index should say so at once.
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check --no-cache-dir --no-input
# What a user has, and what a developer has on top; each file is the stamp of an install.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check lint types format faults coverage bench clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r target text; do printf '%-18s%s\n' "$$target" "$$text"; done

setup: $(DEV) ## make the virtual environment with all that a developer needs

demo: $(RUN) ## run agents over a folder of text and report: make demo FOLDER=docs
	@$(BIN)/pyagent-orch demo $(if $(FOLDER),"$(FOLDER)") $(ARGS)

test: check ## run all checks and tests; make test ARGS="-k name" takes pytest's arguments
	@$(BIN)/python -m pytest -m 'not long' $(ARGS)

check: lint types

lint: $(DEV) ## check style, format and the layers
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo 'Not formatted: make format' >&2; exit 1; }
	@$(BIN)/lint-imports > $(VENV)/lint-imports.log 2>&1 || { cat $(VENV)/lint-imports.log >&2; exit 1; }

types: $(DEV) ## check the types
	@$(BIN)/mypy --no-error-summary

format: $(DEV) ## format the code and mend what can be mended
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .

faults: $(DEV) ## kill, freeze and cut everything, many times; make faults FAULTS=20 SOAK_SECONDS=60
	@$(if $(ARGS),,rm -rf tests/faults/report)
	@$(BIN)/python -m pytest -m faults $(ARGS)

coverage: $(DEV) ## run the tests under coverage, worker processes included
	@$(BIN)/coverage erase
	@status=0; $(BIN)/coverage run -m pytest -m 'not long' $(ARGS) || status=$$?; \
		$(BIN)/coverage combine --quiet && $(BIN)/coverage html --quiet && $(BIN)/coverage report && \
		exit $$status

bench: $(RUN) ## measure against plain Celery, side by side; make bench ARGS=--help
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what runs and builds have left; the virtual environment stays
	@rm -rf build dist demo-report tests/faults/report htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache *.egg-info
	@find . -path './.venv*' -prune -o -path ./.git -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean ## remove the virtual environment, too
	@rm -rf $(VENV)

# Debian's Python may come without ensurepip; pip can then fill the environment from outside.
$(BIN)/python:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python' >&2; exit 1; }
	@echo 'Making $(VENV) ...'
	@$(PYTHON) -m venv $(VENV) > /dev/null 2>&1 || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --quiet --quiet --no-cache-dir --python $(BIN)/python install pip; }

# Groups of dependencies need pip 25.1.
$(RUN): pyproject.toml | $(BIN)/python
	@echo 'Installing pyagent-orch into $(VENV) ...'
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable '.[embedded,cli,web]'
	@touch $@

$(DEV): pyproject.toml $(RUN)
	@echo 'Installing the tools of development ...'
	@$(PIP) install --editable '.[embedded,cli,openai,flower,logs,metrics,otel,web]' --group dev
	@touch $@
