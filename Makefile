# Everything runs out of .venv, which is made on first use from python3 >= 3.11 alone. uv is used when it is there
# and installed into .venv when it is not; requirements.lock pins every package by hash.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test faults lint format bench docs manifests lock cluster clean

help: ## this text
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'netadmit needs python3 >= 3.11' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@uv=$$(command -v uv) || { uv=$(BIN)/uv; test -x $$uv || $(BIN)/pip install --quiet uv; } && \
	  VIRTUAL_ENV=$(abspath $(VENV)) UV_PYTHON_DOWNLOADS=never $$uv pip install --quiet --require-hashes -r requirements.lock && \
	  VIRTUAL_ENV=$(abspath $(VENV)) UV_PYTHON_DOWNLOADS=never $$uv pip install --quiet --no-deps --editable .
	@# Where Python may not keep bytecode (PYTHONDONTWRITEBYTECODE), compiling would take half of a short command's time.
	@$(BIN)/python -m compileall -q webhook certs $(VENV)/lib/python3*/site-packages/{msgspec,yaml,typing_extensions.py}
	@touch $@

demo: $(READY) ## four policies and Services applied to the example cluster, over real TLS
	@$(BIN)/netadmit demo

test: $(READY) ## all the tests that can run on this machine
	@$(BIN)/pytest

faults: $(READY) ## what goes wrong in production, 5,000 admissions each; writes docs/reliability.md (ONLY=large: some lines)
	@NETADMIT_FAULTS=5000 $(BIN)/pytest tests/cluster/test_faults.py $(if $(ONLY),-k "($(ONLY)) or page")

lint: $(READY) ## ruff, mypy, and who may import whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(READY) ## formats the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## reviews, commands on files, the engine and memory, each beside a baseline and its budget
	@$(BIN)/python -m bench

docs: $(READY) ## makes docs/checks.md from the checks, and the schema of the configuration
	@$(BIN)/netadmit checks -o markdown > docs/checks.md
	@$(BIN)/python -c 'import json; from webhook.config import json_schema; print(json.dumps(json_schema(), indent=2))' \
	  > docs/config.schema.json

manifests: $(READY) ## makes deploy/ and the chart's table of values from the chart
	@$(BIN)/python -m tests.chart

cluster: $(READY) ## a real local control plane to try things out with (built once, 15 minutes)
	@$(BIN)/python tests/cluster/control_plane.py

lock: $(READY) ## pins the newest allowed version of every package, by hash
	@uv=$$(command -v uv || echo $(BIN)/uv) && $$uv pip compile pyproject.toml --group dev --universal --generate-hashes \
	  --no-emit-index-url --no-header --python-version 3.11 --upgrade --quiet -o requirements.lock && \
	  $$uv pip compile pyproject.toml --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --python-version 3.11 --constraint requirements.lock --upgrade --quiet -o requirements-image.lock

clean: ## removes what make made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
