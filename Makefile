# IntelliInspect: everything a person needs, from a fresh clone with Python 3.11+, make and git. `make` lists the targets.
# Settings (ports, brokers, partitions …) are environment variables: `make up GATEWAY_PORT=8001`, or a .env file. See .env.example.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
ARGS ?=
JOBS ?= 2
NOTHING := echo "nothing runs: nothing is installed yet. make up installs and starts everything"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up down status logs doctor test unit check chaos soak bench screenshots clean

help: ## this list
	@echo "IntelliInspect: streaming inference for tabular quality data. Targets:"
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'
	@echo "More: README.md, docs/runbook.md. Two stacks side by side: make up DEVSTACK_PORT_OFFSET=100"

demo: $(RUNTIME) ## the whole job on generated data, live (DEMO_ROWS=15 DEMO_EXIT=1 ends by itself)
	@$(BIN)/python -m devstack demo

up: $(RUNTIME) ## start Kafka, Redis and every process in the background; returns when ready
	@$(BIN)/python -m devstack up

# These three install nothing: where nothing is installed nothing runs.
down: ## stop everything; data stays in .devstack
	@if [ -e $(RUNTIME) ]; then $(BIN)/python -m devstack down; else $(NOTHING); fi

status: ## parts, addresses, restarts, memory
	@if [ -e $(RUNTIME) ]; then $(BIN)/python -m devstack status; else $(NOTHING); fi

logs: ## follow the logs (ARGS="producer --lines 100 --no-follow")
	@if [ -e $(RUNTIME) ]; then $(BIN)/python -m devstack logs $(ARGS); else $(NOTHING); fi

doctor: $(RUNTIME) ## check this machine and say how to mend it
	@$(BIN)/python -m devstack doctor

test: $(DEV) ## every test, against a real Kafka and Redis (ARGS="tests/unit -x"; JOBS=1: one after the other)
	@$(BIN)/python -m devstack.browser
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --durations=25 $(ARGS)

unit: $(DEV) ## the tests that need neither broker nor browser, with few examples (ARGS="tests/unit/rows")
	@FEW_EXAMPLES=1 $(BIN)/python -m pytest -p no:schemathesis -n $(JOBS) --dist loadfile -q --durations=5 $(or $(ARGS),tests/unit)

check: $(DEV) ## format, lint, types, imports
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

chaos: $(DEV) ## kill, freeze and starve everything, then compare every number (SEED=1 MINUTES=2)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) --minutes $(or $(MINUTES),2) $(ARGS)

soak: $(DEV) ## runs at full speed with pauses: memory, topics and Redis stay bounded (MINUTES=30)
	@$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),30) $(ARGS)

bench: $(DEV) ## measure, under 20 minutes, and write benchmarks/REPORT.md (BENCH=scoring|latency|ingest|split|training|quality|growth, ARGS="…")
	@$(BIN)/python -m benchmarks $(or $(BENCH),all) $(ARGS)

screenshots: $(DEV) ## pictures of every page of the running stack's dashboard, in docs/screenshots
	@$(BIN)/python -m tests.e2e.screenshots $(ARGS)

clean: ## remove .venv, caches and, after asking the stack to stop, all data in .devstack
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m devstack down || true; fi
	rm -rf $(VENV) .devstack build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; found $(PYTHON). Name another: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# One stamp for each set of packages; installed again when the list or the pins change.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing pinned packages"
	@$(BIN)/python devstack/install.py constraints.txt -e ".[devstack]"
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing pinned packages and the test tools"
	@$(BIN)/python devstack/install.py constraints.txt -e ".[dev]"
	@touch $@ $(RUNTIME)
