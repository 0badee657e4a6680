# Two commands do all set-up: `make demo` and `make test`. Both work on a machine with python3 (3.11 or later) and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

# What asks the history's database anything; run on SQLite and on PostgreSQL.
STORE_TESTS := $(patsubst %,tests/unit/history/test_%.py,store_postgres store catalog described events keeper query \
  journal log migrations portrait retention statements two_bridges)

.PHONY: help demo test chaos lint format unit postgres integration e2e pictures coverage config bench bench-quick clean

help:
	@echo "make demo    bridge, broker and 50 simulated devices; prints the address of the page"
	@echo "make test    everything that CI checks: lint, types, unit, real broker, real browser"
	@echo "make lint    ruff and mypy    make format    let ruff mend what it can"
	@echo "make chaos   the long fault tests: kills, locks, full disks (20 min)"
	@echo "make unit | postgres | integration | e2e    one kind of test    make coverage    of the unit tests"
	@echo "make bench   the figures in README and docs/performance.md (1 hour)    make bench-quick    the main ones (5 min)"
	@echo "make pictures    the pictures in README    make clean    remove what was made here"

demo: $(VENV)/.installed
	$(BIN)/fleetwire demo

# One process for each kind: integration tests look at their own child processes, among which no browser should be.
# Much of what the tests do is waiting, so more of them than processors run at a time. Where real processes
# or a browser run on a machine that others use too, a test that fails is tried once more, and pytest tells (R).
test: lint
	.ci/install-tools
	$(PYTEST) -n 3 --reruns 1 -m "not postgres" tests/unit
	HISTORY_TESTS_ON=postgres $(PYTEST) -n 2 -m "not sqlite" $(STORE_TESTS)
	$(PYTEST) -n 3 --reruns 1 -m "not alone" tests/integration tests/faults
	$(PYTEST) --reruns 2 -m alone tests/integration
	$(PYTEST) -n 2 --reruns 1 tests/e2e

# The long versions of what CI runs for a minute: the bridge killed 200 times, a store locked for half a minute, ...
chaos: $(VENV)/.installed-test
	.ci/install-tools
	FAULTS_KILLS=200 FAULTS_LOCK_S=30 FAULTS_DAMAGES=300 FAULTS_KEEPER_KILLS=200 FAULTS_COPIES=100 \
	  $(PYTEST) -n 2 -s tests/faults

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

unit: $(VENV)/.installed-test
	.ci/install-tools
	$(PYTEST) -m "not postgres" tests/unit

postgres: $(VENV)/.installed-test
	.ci/install-tools
	HISTORY_TESTS_ON=postgres $(PYTEST) -m "not sqlite" $(STORE_TESTS) tests/integration/test_postgres.py

integration e2e: $(VENV)/.installed-test
	.ci/install-tools
	$(PYTEST) tests/$@

# The README's pictures come from the browser tests.
pictures: e2e
	cp artifacts/fleet-1440-light.png docs/images/fleet.png
	cp artifacts/device-1440-dark.png docs/images/device.png

coverage: $(VENV)/.installed-test
	$(BIN)/coverage run -m pytest -m "not postgres" tests/unit
	$(BIN)/coverage report

# config/fleetwire.toml is generated from bridge/settings.py.
config: $(VENV)/.installed
	$(BIN)/fleetwire check-config --print-default > config/fleetwire.toml

# Some hour on an idle machine; writes the sections of docs/performance.md.
bench: $(VENV)/.installed-test
	.ci/install-tools
	$(BIN)/python -m benchmarks.demo
	$(BIN)/python -m benchmarks.fanout --write
	$(BIN)/python -m benchmarks.drops --write
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.history --write
	$(BIN)/python -m benchmarks.replays --write

# Some five minutes: 200 dashboards beside the rivals, at the lowest and the highest rate.
bench-quick: $(VENV)/.installed-test
	.ci/install-tools
	$(BIN)/python -m benchmarks.fanout --quick

clean:
	rm -rf $(VENV) build dist artifacts .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Fleetwire needs Python 3.11 or later; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@PYTHON=$(PYTHON) .ci/make-venv $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[parquet]'
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed
