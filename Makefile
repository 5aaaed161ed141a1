# The verbs of the project. Each does the set-up it needs from a clean clone; a second run starts at once.
#
#   make demo    the main job on the embedded default: a simulated Internet, scanned, grabbed, stored, compared
#   make test    all tests (as root on Debian it installs the servers they talk to; otherwise it names what is missing)
#   make fuzz    a million mutated handshakes, and as many rule files
#   make check   lint, types, import contracts
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

.PHONY: help demo test fuzz check bench lock clean

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
	$(BIN)/python -m pytest $(PYTEST_ARGS)

fuzz: $(VENV)/.dev
	LONGLINE_FUZZ=1000000 $(BIN)/python -m pytest -q -k mutated tests/proto/tls tests/proto/rules

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/house

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
