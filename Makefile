# Trunkline: `make run` starts the router, `make test` proves that it works. Both set up everything
# they need first (.ci/setup) and start at once the second time.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
ROUTES ?= routes.cfg
PYTEST := $(VENV)/bin/python -m pytest
SETUP := PYTHON="$(PYTHON)" .ci/setup

.PHONY: help run test lint bench soak dashboards pictures fuzz docs clean

help:  ## show this list
	@echo "make TARGET, with one of:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12
	@echo "PYTHON=/path/to/python3 chooses the interpreter, ROUTES=file.cfg what 'make run' runs."

run: $(VENV)/.run-ready  ## start the router on routes.cfg, in the foreground
	@exec $(VENV)/bin/trunkline run $(ROUTES)

test: $(VENV)/.test-ready lint  ## lint, then all tests
	@.ci/setup packages
	@echo "==> pytest"
	@$(PYTEST) --numprocesses 2 --dist loadfile

lint: $(VENV)/.test-ready  ## ruff and mypy
	@echo "==> ruff"
	@$(VENV)/bin/ruff check --quiet .
	@echo "==> mypy"
	@$(VENV)/bin/mypy --no-error-summary

bench: $(VENV)/.test-ready  ## measure with pytest-benchmark; the figures go to build/bench.json
	@mkdir -p build
	@$(PYTEST) tests/bench --override-ini addopts="-q --import-mode=importlib" \
		--benchmark-only --benchmark-json=build/bench.json
	@echo "Figures written to build/bench.json"

soak: $(VENV)/.test-ready  ## 500 reloads under load; kill -9 of every process, 20 times 60 s; half an hour
	@.ci/setup packages
	@$(PYTEST) -s tests/system/soak_reload.py tests/system/soak_kills.py

fuzz: $(VENV)/.test-ready  ## bill a million random calls by two formulas; FUZZ_SEED=N repeats a run
	@$(PYTEST) -s tests/billing/fuzz_billing.py

docs: $(VENV)/.run-ready  ## write the pages of docs/ that are made of the code
	@$(VENV)/bin/python -m router.cli.reference.pages docs

dashboards: $(VENV)/.test-ready  ## write the dashboards of grafana/ that differ
	@$(VENV)/bin/python -m grafana.generate

pictures: $(VENV)/.pictures-ready dashboards  ## draw dashboards and top for docs/, from nine minutes of calls
	@.ci/setup packages
	@.ci/setup fonts
	@$(PYTEST) -s tests/system/draw_dashboards.py tests/system/draw_top.py
	@$(VENV)/bin/python -m grafana.pictures

clean:  ## remove everything that make and the tests have made
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks *.egg-info
	find router dsl tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run-ready: pyproject.toml .ci/constraints.txt
	@$(SETUP) venv $(VENV)
	@touch $@

$(VENV)/.test-ready: pyproject.toml .ci/constraints.txt
	@$(SETUP) venv $(VENV) test
	@touch $@ $(VENV)/.run-ready

$(VENV)/.pictures-ready: pyproject.toml .ci/constraints.txt
	@$(SETUP) venv $(VENV) test,pictures
	@touch $@ $(VENV)/.test-ready $(VENV)/.run-ready
