# The same commands for people, CI and `.ci/run`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: venv demo test lint verify failures soak bench lock schema map first-hour timeline
venv: $(VENV)/.ready

# pip, not uv: a bare machine has it. The lock names no package index, so each site uses its own.
$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: venv
	$(BIN)/python scripts/demo.py

# LEGS="unit docker" runs only these.
test: venv
	$(BIN)/python scripts/legs.py $(LEGS)

lint: venv
	$(BIN)/python scripts/legs.py static

# The published forms of lab.toml, workspace.toml and reports.
schema: venv
	for what in lab workspace report; do $(BIN)/python -m orchestrator schema $$what > docs/$$what.schema.json || exit 1; done

map: venv
	$(BIN)/python scripts/map.py

# What a learner sees in the first hour: docs/first-hour.md, typed anew.
first-hour: venv
	$(BIN)/python scripts/first_hour.py

lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --group dev --group bench --extra author --extra mongodb --no-header --no-annotate --upgrade --output-file requirements.lock

# The full proof of our lab; its page and its data are published.
verify: venv
	$(BIN)/labs verify databases --report docs/proof

# What learners read when a wrong solution fails: docs/failures, as printed.
failures: venv
	mkdir -p docs/failures
	WRITE_FAILURES=1 PROOF=all $(BIN)/python -m pytest -q -n 2 --dist worksteal tests/e2e/test_proof.py --labs-engine docker -k wrong

# Kills `labs` fifty times and judges a hundred times on each engine; judges on a quarter of the machine.
soak: venv
	SOAK=50 $(BIN)/python -m pytest -q tests/e2e/test_kill.py tests/e2e/test_keeping.py --labs-engine embedded
	SOAK=50 $(BIN)/python -m pytest -q tests/e2e/test_kill.py tests/e2e/test_keeping.py --labs-engine docker
	$(BIN)/python -m pytest -q tests/soak

# Where the milliseconds of one check go: docs/timeline.md, measured anew.
timeline: venv
	$(BIN)/python scripts/timeline.py

bench: venv
	$(BIN)/python bench/run.py
