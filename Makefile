# The verbs of the project. Each does the set-up it needs from a clean clone; a second run starts at once.
#
#   make demo    the main job on the embedded default: a simulated Internet, scanned, grabbed, stored, compared
#   make test    all tests (as root on Debian it installs the servers they talk to; otherwise it names what is missing)
#                (JOBS=N: in so many processes; PYTEST_ARGS=tests/core: a part)
#   make check   lint, types, import contracts
#   make chaos   kills by the thousand, brokers and databases that go away, poison (CHAOS=0.1: a tenth of it)
#   make fuzz    a million inputs that nobody meant, into every parser (FUZZ=N: as many)
#   make bench   speed, beside the peers, as ratios in one run
#   make lock    pin the requirements anew
#   make clean   remove what the verbs made

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# Nothing that make runs may send beyond loopback or a simulated network.
export LONGLINE_CONFINE := 1
export PYTHONDONTWRITEBYTECODE :=
PYTEST_ARGS ?=
DEMO_ARGS ?=
FUZZ ?= 1000000
# Test processes side by side: one a processor where each may have a network of its own (tests/alone.py), else one.
JOBS ?= $(shell unshare -n true 2>/dev/null && nproc || echo 0)

.PHONY: help demo test check chaos fuzz bench lock clean

help:
	@sed -n 's/^#   //p' Makefile

$(VENV)/.run: requirements/run.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh run

$(VENV)/.dev: requirements/dev.txt pyproject.toml scripts/setup.sh
	@scripts/setup.sh dev

demo: $(VENV)/.run
	@scripts/setup.sh system demo
	@$(BIN)/longline demo $(DEMO_ARGS)

test: $(VENV)/.dev
	@scripts/setup.sh system test
	@$(BIN)/python -m tests.servers.fetch
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/house

chaos: $(VENV)/.dev
	@scripts/setup.sh system test
	@$(BIN)/python -m tests.servers.fetch
	$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

fuzz: $(VENV)/.dev
	LONGLINE_FUZZ=$(FUZZ) $(BIN)/python -m pytest -m fuzz

bench: $(VENV)/.dev
	@scripts/setup.sh system bench
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

lock: $(VENV)/.dev
	$(BIN)/pip-compile -q --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --no-header --output-file requirements/run.txt pyproject.toml requirements/build.in
	$(BIN)/pip-compile -q --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --no-header --constraint requirements/run.txt --output-file requirements/dev.txt \
	  pyproject.toml requirements/build.in requirements/dev.in

clean:
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
