# The same commands for people, CI and `.ci/run`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: venv
venv: $(VENV)/.ready

# pip, not uv: a bare machine has it. The lock was made by `make lock` and names no package index, so each site uses its own.
$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

.PHONY: lock
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --group dev --group bench --no-header --no-annotate --upgrade --output-file requirements.lock
