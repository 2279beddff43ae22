# setup, demo, test, test-all, lint, clean: all that a newcomer needs. `make help` explains them.

# A Python of one's own choice: make setup PYTHON=/path/to/python3
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.bfimna-set-up
CAT := sim/data/cifar10/cifar10_00_3.png

.PHONY: help setup demo test test-all lint clean
.NOTPARALLEL:

help:
	@echo 'make setup     create .venv and install everything; Icarus Verilog through apt-get where that is allowed'
	@echo 'make demo      set up, then classify a picture of a cat with ResNet-8 on the simulated tile'
	@echo 'make test      set up, then ruff, pyright and the tests (minutes)'
	@echo 'make test-all  like make test, with the whole grid of tests'
	@echo 'make lint      ruff and pyright only'
	@echo 'make clean     remove .venv and everything else that was made in this folder'

setup: $(STAMP)
	@command -v iverilog >/dev/null || { \
	    root=; \
	    if [ "$$(id -u)" -ne 0 ]; then root='sudo -n'; fi; \
	    if command -v apt-get >/dev/null && { [ -z "$$root" ] || sudo -n true 2>/dev/null; }; then \
	        echo 'setup: installing Icarus Verilog (iverilog) with apt-get'; \
	        log=$$(mktemp); \
	        install="$$root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install iverilog"; \
	        $$install >"$$log" 2>&1 </dev/null \
	        || { $$root apt-get -qq update >>"$$log" 2>&1 </dev/null; $$install >>"$$log" 2>&1 </dev/null; } \
	        || tail -n 3 "$$log"; \
	        rm -f "$$log"; \
	    fi; \
	    command -v iverilog >/dev/null \
	    || echo 'setup: Icarus Verilog is missing and could not be installed; install the package "iverilog" (11 or later)'; \
	}

# Written last, so an interrupted set-up is done again; a half-installed environment is thrown away first.
$(STAMP): pyproject.toml
	@set -e; \
	python=; \
	for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14 python3.10 python); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then \
	        python=$$candidate; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo 'setup: Python 3.10 or later is needed and was not found; install it, or name one: make setup PYTHON=...' >&2; \
	    exit 1; \
	fi; \
	if ! "$$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then \
	    echo "setup: $$python has no venv module; install the package \"python3-venv\"" >&2; \
	    exit 1; \
	fi; \
	for tool in make perl c++; do \
	    command -v $$tool >/dev/null \
	    || echo "setup: $$tool is missing, which Verilator needs; install the packages \"make perl g++\""; \
	done; \
	if [ -e $(VENV)/.installing ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    rm -rf $(VENV); \
	    echo "setup: creating $(VENV) with $$("$$python" --version)"; \
	    mkdir $(VENV) && touch $(VENV)/.installing; \
	    "$$python" -m venv $(VENV); \
	fi; \
	touch $(VENV)/.installing; \
	echo 'setup: installing the Python packages (a minute or two the first time)'; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --editable '.[dev]' </dev/null; \
	$(BIN)/python -c 'import sys, find_libpython as f; sys.exit(0 if f.find_libpython() else \
	    "setup: this Python has no shared library, which cocotb needs; install the package \"libpython3-dev\"")'; \
	rm $(VENV)/.installing; \
	touch $@

demo: setup
	@$(BIN)/bfimna run resnet8 --input $(CAT) --engine rtl

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; \
	then echo '$(BIN)/pyright' && $(BIN)/pyright; \
	else echo 'pyright: left out, because the type stubs of Amaranth need Python 3.11'; fi

# Simulations are short here, so builds that take less time are sooner done.
test: export BFIMNA_OPTIMISATION = -O1
test: export BFIMNA_TURBO_OPTIMISATION = -O1
test: lint
	$(BIN)/pytest -n 2 --dist worksteal -m 'not slow'

test-all: lint
	$(BIN)/pytest -n 2 --dist worksteal

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis sim_build results.xml *.egg-info
	find hw golden sim tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
