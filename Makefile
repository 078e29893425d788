# Every target sets up what it needs; a Python >= 3.10 and make are all that has to be there.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# The first of these that is at least 3.10 and can make environments: make setup PYTHON=/path/to/python3
PYTHON ?= python3.13 python3.12 python3.11 python3.10 python3
# More workers than cores: the tests of the module wait for real time most of theirs.
PYTEST_ARGS ?= -n 4 --dist worksteal
DEMO_ARGS ?=
BENCH_ARGS ?=
# Minutes; the same SEED and DURATION make the same faults. Root may add SOAK_ARGS=--disk-full.
DURATION ?= 30
SEED ?=
SOAK_ARGS ?=

CODE := videostore scripts tests

.PHONY: help setup test lint format bench demo soak clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

setup: $(STAMP) ## make .venv with everything in it
	@:

test: $(STAMP) ## run the tests (PYTEST_ARGS="-n0 -k name" for some of them)
	$(PY) -m pytest $(PYTEST_ARGS)

lint: $(STAMP) ## check style, form and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(CODE)

format: $(STAMP) ## bring the code into form
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(STAMP) ## measure against bare ffmpeg
	$(PY) -m scripts.bench $(BENCH_ARGS)

demo: $(STAMP) ## record a synthetic camera, save a clip and fetch one
	$(PY) -m scripts.demo $(DEMO_ARGS)

soak: $(STAMP) ## run it under faults at random and look for every frame (DURATION=minutes SEED=number)
	$(PY) -m scripts.soak --minutes $(DURATION) $(if $(SEED),--seed $(SEED)) $(SOAK_ARGS)

clean: ## remove everything that was made
	rm -rf $(VENV) build dist demo-output soak-output *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

# The environment is made anew where its Python was removed or is too old, or where the command line names another one.
VERSION := -c 'import sys; print(sys.version.split()[0]) if sys.version_info >= (3, 10) else sys.exit(1)'
INSTALLED := $(shell $(PY) $(VERSION) 2>/dev/null)
ifeq ($(origin PYTHON),command line)
WANTED := $(shell $(firstword $(PYTHON)) $(VERSION) 2>/dev/null)
else
WANTED := $(INSTALLED)
endif
ifeq ($(and $(INSTALLED),$(filter $(INSTALLED),$(WANTED))),)
.PHONY: $(STAMP)
endif

$(STAMP): setup.cfg setup.py pyproject.toml
	@set -e; \
	if [ -n "$(INSTALLED)" ] && [ "$(INSTALLED)" = "$(WANTED)" ] && $(PY) -c 'import pip' 2>/dev/null; then \
	    echo "Bringing $(VENV) up to date." >&2; \
	else \
	    chosen=; unfit=; \
	    for python in $(PYTHON); do \
	        "$$python" $(VERSION) >/dev/null 2>&1 || continue; \
	        if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then chosen=$$python; break; fi; \
	        unfit=$${unfit:-$$python}; \
	    done; \
	    if [ -n "$$chosen" ]; then :; elif [ -n "$$unfit" ]; then \
	        echo "$$unfit cannot make environments: install its venv module (on Debian and Ubuntu the package" \
	            "python3-venv), or name another Python with make PYTHON=/path/to/python3." >&2; \
	        exit 1; \
	    else \
	        echo "No Python 3.10 or later among: $(PYTHON)." \
	            "Install one, or name it with make PYTHON=/path/to/python3." >&2; \
	        exit 1; \
	    fi; \
	    echo "Setting up $(VENV) with Python $$("$$chosen" $(VERSION)); this takes about a minute." >&2; \
	    "$$chosen" -m venv --clear $(VENV); \
	fi; \
	$(PY) -m pip install --quiet --disable-pip-version-check --no-input -e '.[test,lint]' >&2; \
	touch $(STAMP)
