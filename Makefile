# make test    everything that has to pass; works on a fresh clone by itself
# make help    the other targets

VENV   ?= .venv
PYTHON ?= $(VENV)/bin/python
# More than a small machine has processors: most of what a test does is to wait for a server.
WORKERS ?= 4
# The Pythons that make pythons runs the tests with: names on PATH, or paths.
PYTHONS ?= python3.10 python3.12 python3.13
# Debian puts clickhouse-server where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/sbin
# As for a user: buffers and compiled files are part of what is tested, and compiled files save a
# third of the time of every command that a test starts.
unexport PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED
# Tests kill processes, not machines: a disk in memory, where it is large enough (8 GB), holds
# their data as well and spares them ClickHouse's fsyncs.
MEMORY := $(shell df -k --output=avail /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 > 8000000 { print "/dev/shm" }')
FAST   := $(if $(TMPDIR),,$(if $(MEMORY),TMPDIR=$(MEMORY)))
STAMP  := $(VENV)/.installed
DEBIAN := clickhouse-server clickhouse-client zookeeper chromium

# With the default PYTHON, commands wait for the virtual environment; with another, it is yours.
READY  := $(if $(filter $(VENV)/bin/python,$(PYTHON)),$(STAMP))

.DEFAULT_GOAL := help
.PHONY: help install lint test exhaustive faults storm mutants bench unit pythons docs engines clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

install: $(READY) ## virtual environment with the development dependencies

$(STAMP): pyproject.toml
	test -x $(VENV)/bin/python || python3 -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

lint: $(READY) ## ruff, mypy, import-linter
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict budeval_migrations
	$(PYTHON) -c "from importlinter.cli import lint_imports_command as run; run()"

test: lint ## lint, then every test
	$(FAST) $(PYTHON) -m pytest -n $(WORKERS) --dist worksteal

exhaustive: $(READY) ## what make test leaves out: more of the same, for longer
	$(FAST) $(PYTHON) -m pytest -n $(WORKERS) --dist worksteal -m exhaustive

faults: $(READY) ## the whole kill matrix, more than 2,000 kills; writes build/faults.md
	$(FAST) $(PYTHON) -m tests.faults --jobs $(WORKERS) --kills 2000 --table build/faults.md

storm: $(READY) ## random faults over random revisions for an hour; STORM="--minutes 5 --seed 7"
	$(FAST) $(PYTHON) -m tests.faults.storm $(STORM)

mutants: $(READY) ## changes what decides, one place at a time, and runs the unit tests; lists what survives
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -e ".[mutants]"
	$(PYTHON) -m mutmut run --max-children 2
	$(PYTHON) -m tests.mutants

bench: $(READY) ## this tool beside its competitors and the bare driver; BENCH=--quick for a look
	mkdir -p build/bench
	$(FAST) $(PYTHON) -m bench --json build/bench/figures.json --svg build/bench/figures.svg $(BENCH)

unit: $(READY) ## the tests that need no engine
	$(PYTHON) -m pytest tests/unit

pythons: ## unit tests and some with engines, with each of PYTHONS; a missing one is a failure
	@for python in $(PYTHONS); do \
	  $$python -c "" || { echo "$$python does not run here; PYTHONS= takes paths too." >&2; exit 1; }; \
	done
	@set -e; for python in $(PYTHONS); do \
	  venv=build/pythons/$$(basename $$python); \
	  echo "$$venv: $$($$python --version)"; \
	  test -x $$venv/bin/python || $$python -m venv $$venv; \
	  $$venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"; \
	  $(FAST) $$venv/bin/python -m pytest -n $(WORKERS) --dist worksteal \
	    tests/unit tests/cli/test_init.py tests/engines/test_contract.py; \
	done

docs: $(READY) ## the documentation as a site, in build/site; a broken link is an error
	$(PYTHON) -m docs.site build/site

engines: ## Debian packages with the servers that tests run against (starts no service)
	.ci/engines $(DEBIAN)

clean: ## caches, builds and the virtual environment
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
