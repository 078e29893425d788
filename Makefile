# Every target sets up what it needs; a Python >= 3.10 and make are all that has to be there.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# The first of these that is at least 3.10 and can make environments: make setup PYTHON=/path/to/python3
PYTHON ?= python3.13 python3.12 python3.11 python3.10 python3
# More workers than cores: the tests of the module wait for real time most of theirs.
PYTEST_ARGS ?= -n 5 --dist worksteal
DEMO_ARGS ?=
BENCH_ARGS ?=
# Minutes; the same SEED and DURATION make the same faults. Root may add SOAK_ARGS=--disk-full.
DURATION ?= 30
SEED ?=
SOAK_ARGS ?=
# --root=DIRECTORY: in a bare system that is there already; --here: in none, as anybody.
CHECK_ARGS ?=
PYTHONS ?=

CODE := videostore scripts tests

# The archive is built in an environment of its own, of the exact versions in requirements.lock.
MODULE_DIR := build/module
MODULE_PY := $(MODULE_DIR)/venv/bin/python
MODULE_STAMP := $(MODULE_DIR)/venv/.installed
ARCHIVE := module.tar.gz

.PHONY: help setup test lint format bench demo soak module module-check package-check lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

setup: $(STAMP) ## make .venv with everything in it
	@:

test: $(STAMP) ## run the tests (PYTEST_ARGS="-n0 -k name" for some of them)
	$(PY) -m pytest $(PYTEST_ARGS)

lint: $(STAMP) ## check style, types and the import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(CODE)
	$(VENV)/bin/lint-imports

format: $(STAMP) ## bring the code into form
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(STAMP) ## measure against bare ffmpeg
	$(PY) -m scripts.bench $(BENCH_ARGS)

demo: $(STAMP) ## record a synthetic camera, save a clip and fetch one
	$(PY) -m scripts.demo $(DEMO_ARGS)

soak: $(STAMP) ## run it under faults at random and look for every frame (DURATION=minutes SEED=number)
	$(PY) -m scripts.soak --minutes $(DURATION) $(if $(SEED),--seed $(SEED)) $(SOAK_ARGS)

module: $(ARCHIVE) ## build module.tar.gz, which runs without Python, ffmpeg and network
	@:

module-check: $(ARCHIVE) $(STAMP) ## prove module.tar.gz where nothing is installed; as root in a bare Debian (CHECK_ARGS=)
	$(PY) -m scripts.release.module_check $(CHECK_ARGS)

package-check: $(STAMP) ## prove the wheel in fresh environments (PYTHONS="python3.10 python3.13")
	$(PY) -m scripts.release.package_check $(PYTHONS)

lock: $(STAMP) ## bring requirements.lock up to the newest versions
	$(PY) -m pip install --quiet --disable-pip-version-check --no-input --upgrade --target $(MODULE_DIR)/uv uv
	$(MODULE_DIR)/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --no-annotate --extra module \
	    --custom-compile-command 'make lock' --output-file requirements.lock setup.cfg

clean: ## remove everything that was made
	rm -rf $(VENV) $(ARCHIVE) $(ARCHIVE).part build dist demo-output soak-output *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
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

# A shell command that sets `chosen` to the first Python that can do $(1); where none can, it says that they lack $(2).
define CHOOSE
chosen=; unfit=; \
	for python in $(PYTHON); do \
	    "$$python" $(VERSION) >/dev/null 2>&1 || continue; \
	    if "$$python" -c '$(1)' >/dev/null 2>&1; then chosen=$$python; break; fi; \
	    unfit=$${unfit:-$$python}; \
	done; \
	if [ -n "$$chosen" ]; then :; elif [ -n "$$unfit" ]; then \
	    echo "$$unfit $(2), or name another Python with make PYTHON=/path/to/python3." >&2; \
	    exit 1; \
	else \
	    echo "No Python 3.10 or later among: $(PYTHON)." \
	        "Install one, or name it with make PYTHON=/path/to/python3." >&2; \
	    exit 1; \
	fi
endef
CAN_SETUP := import ensurepip, venv
CANNOT_SETUP := cannot make environments: install its venv module (on Debian and Ubuntu the package python3-venv)
# PyInstaller puts the shared library of Python into the archive.
CAN_FREEZE := import ctypes, ensurepip, sys, sysconfig, venv; \
    sys.platform == "darwin" or ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))
CANNOT_FREEZE := cannot make environments or lacks its shared library: run scripts/setup_build.sh

$(STAMP): setup.cfg setup.py pyproject.toml
	@set -e; \
	if [ -n "$(INSTALLED)" ] && [ "$(INSTALLED)" = "$(WANTED)" ] && $(PY) -c 'import pip' 2>/dev/null; then \
	    echo "Bringing $(VENV) up to date." >&2; \
	else \
	    $(call CHOOSE,$(CAN_SETUP),$(CANNOT_SETUP)); \
	    echo "Setting up $(VENV) with Python $$("$$chosen" $(VERSION)); this takes about a minute." >&2; \
	    "$$chosen" -m venv --clear $(VENV); \
	fi; \
	$(PY) -m pip install --quiet --disable-pip-version-check --no-input -e '.[test,lint]' >&2; \
	touch $(STAMP)

$(MODULE_STAMP): requirements.lock
	@set -e; \
	$(call CHOOSE,$(CAN_FREEZE),$(CANNOT_FREEZE)); \
	echo "Setting up $(MODULE_DIR)/venv with Python $$("$$chosen" $(VERSION)); this takes about a minute." >&2; \
	"$$chosen" -m venv --clear $(MODULE_DIR)/venv; \
	$(MODULE_PY) -m pip install --quiet --disable-pip-version-check --no-input -r requirements.lock >&2; \
	touch $(MODULE_STAMP)

$(ARCHIVE): $(MODULE_STAMP) scripts/release/build_module.py scripts/release/module_entry.py meta.json README.md LICENSE \
        $(shell find videostore -name '*.py')
	$(MODULE_PY) scripts/release/build_module.py --output $@
