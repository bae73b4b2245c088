# mnistlab: `make help` lists the targets. The environment is created by the first target that needs it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help train test test-slow test-slurm test-ray check format docs bench speedrun stress build clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

train: $(VENV)/.installed ## train on the embedded digits (ARGS="model=mlp_1hidden seed=3" sets overrides)
	$(BIN)/mnistlab train $(ARGS)

test: $(VENV)/.dev ## run the fast tests, one process per core (ARGS="tests/nn -k adam" selects some of them)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS)

test-slow: $(VENV)/.dev ## run the slow tests (MNISTLAB_DATA=FOLDER includes those on full MNIST)
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow $(ARGS)

test-slurm: $(VENV)/.dev ## run sweeps on a real Slurm of two nodes on this machine (as root; installs slurm-wlm and munge)
	$(BIN)/python -m pytest -n 0 -rs -m slurm tests/cluster $(ARGS)

test-ray: $(VENV)/.ray ## run sweeps on a real Ray cluster of a head and two nodes on this machine
	$(BIN)/python -m pytest -n 0 -rs -m ray tests/cluster $(ARGS)

check: $(VENV)/.dev ## check the code: ruff, formatting, mypy, import contracts, the reference pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/reference.py --check

format: $(VENV)/.dev ## fix and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs ## build the documentation into build/site (warnings are errors)
	$(BIN)/python -m mkdocs build --strict $(ARGS)

bench: $(VENV)/.bench ## run the benchmarks against PyTorch, JAX and scikit-learn (needs full MNIST in MNISTLAB_DATA)
	$(BIN)/python benchmarks/bench.py $(ARGS)
	$(BIN)/python benchmarks/sweep.py $(SWEEP_ARGS)
	$(BIN)/python benchmarks/estimator.py $(ESTIMATOR_ARGS)
	$(BIN)/python benchmarks/growth.py $(GROWTH_ARGS)

speedrun: $(VENV)/.bench ## time to 98, 99 and 99.5 % against PyTorch twins (hours; needs full MNIST in MNISTLAB_DATA)
	$(BIN)/python benchmarks/speedrun.py $(ARGS)

stress: $(VENV)/.dev ## kill and interrupt runs at random, or take their memory and disk space away, and count lost results (ARGS="kills --short" for a short run of one part)
	$(BIN)/python stress/run.py $(ARGS)

build: $(VENV)/.dev ## build the wheel and the source archive in dist/
	$(BIN)/python -m build --no-isolation

clean: ## remove the environment, caches and build files (never outputs/)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: Python 3.11 or later is needed; set it with PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); $(PYTHON) -m virtualenv --quiet $(VENV); } || \
		{ rm -rf $(VENV); echo "make: the virtual environment could not be created; try apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into $(VENV), which takes about a minute" >&2
	$(PIP) --only-binary numba,llvmlite --editable ".[fast]" 2>/dev/null || $(PIP) --editable . # numba where it has a wheel
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) --editable ".[dev]"
	@touch $@

$(VENV)/.all: $(BIN)/python pyproject.toml constraints.txt # .dev, .bench and .docs by one installation, which takes less time than four
	$(PIP) --editable ".[dev,bench,docs]"
	@touch $(VENV)/.installed $(VENV)/.dev $(VENV)/.bench $(VENV)/.docs $@

$(VENV)/.ray: $(VENV)/.dev
	$(PIP) --editable ".[ray]"
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(PIP) --editable ".[docs]"
	@touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(PIP) --editable ".[bench]"
	@touch $@
