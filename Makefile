# Everything works from a bare machine with Python 3.11+, git and make: each target makes what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# The tests start hundreds of processes: each would compile all modules anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo serve test check lint soak bench docs lock clean

demo: $(VENV)/.runtime ## Start a server and make a few pictures (ARGS=--once stops afterwards)
	$(BIN)/ferrotype demo $(ARGS)

serve: $(VENV)/.runtime ## Run the server
	$(BIN)/ferrotype serve $(ARGS)

test: $(VENV)/.dev ## Checks and tests (twelve minutes or so on two cores)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist worksteal $(ARGS)

soak: $(VENV)/.dev ## Long fault and soak runs, and the slow tests that `make test` leaves out
	$(BIN)/pytest -m "soak or slow" --timeout=1800 $(ARGS)

bench: $(VENV)/.dev ## Every benchmark; writes benchmarks/results
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/.dev ## Write the generated pages
	$(BIN)/python -m ferrotype.domain.states > docs/STATES.md
	$(BIN)/python tests/docs/write.py

lock: $(VENV)/.dev ## Resolve the dependencies anew
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --quiet --output-file requirements/runtime.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --extra local --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-header --quiet --output-file requirements/dev.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Ferrotype needs Python 3.11 or newer; this is %d.%d (set PYTHON=)" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing (Debian: apt-get install python3-venv)"; exit 1; }

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Of what the tests need only a part is ever imported, and is compiled then.
$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.runtime
