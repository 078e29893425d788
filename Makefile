# Every target sets up what it needs. Only make and a Python 3.10 or later with its venv module must be installed.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# The first of these that is 3.10 or later and can create environments. To choose: make setup PYTHON=/path/to/python3
PYTHON ?= python3.13 python3.12 python3.11 python3.10 python3
# More workers than cores: tests of the module mostly wait.
PYTEST_ARGS ?= -n 10 --dist worksteal
PLAYERS_ARGS ?=
SERVER_ARGS ?=
STREAMS_ARGS ?=
WEB_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
# In minutes. The same SEED and DURATION give the same faults. Root can add SOAK_ARGS=--disk-full.
DURATION ?= 30
SEED ?=
SOAK_ARGS ?=
# --root=DIRECTORY: use an existing bare system. --here: use this system, which needs no root.
CHECK_ARGS ?=
PYTHONS ?=

CODE := videostore scripts tests

# Tests start the program a thousand times. Where containers set this, each start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# The archive is built in a separate environment, with the exact versions of requirements.lock.
MODULE_DIR := build/module
MODULE_PY := $(MODULE_DIR)/venv/bin/python
MODULE_STAMP := $(MODULE_DIR)/venv/.installed
ARCHIVE := module.tar.gz

.PHONY: help setup test test-exhaustive test-players test-server test-streams test-web screenshots lint format bench \
    demo soak module module-check package-check wheel-check lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

setup: $(STAMP) ## create .venv with all dependencies
	@:

test: $(STAMP) ## run the tests (some of them: PYTEST_ARGS="-n0 -k name")
	$(PY) -m pytest $(PYTEST_ARGS)

test-exhaustive: $(STAMP) ## try the combinations and amounts that `make test` leaves out
	VIDEOSTORE_TESTS=exhaustive $(PY) -m pytest $(PYTEST_ARGS)

test-players: $(STAMP) ## show clips to the players that are installed, and print a table of what they show
	$(PY) -m pytest -q -o faulthandler_timeout=1200 tests/players $(PLAYERS_ARGS)

test-server: $(STAMP) ## run the module under a real viam-server, which is built with Go if there is none
	$(PY) -m scripts.viam_server -q -n 2 -o faulthandler_timeout=600 $(SERVER_ARGS)

test-streams: $(STAMP) ## record network cameras, which a real RTSP server is, and print what is stored of them
	$(PY) -m pytest -q -n 4 --dist loadscope -o faulthandler_timeout=600 tests/streams $(STREAMS_ARGS)

test-web: $(STAMP) ## use the page in Chromium, Firefox and WebKit, and read the painted clock off every picture
	$(PY) -m scripts.page.fetch
	$(PY) -m pytest -q -n 2 --dist loadfile -o faulthandler_timeout=600 tests/browser $(WEB_ARGS)

screenshots: $(STAMP) ## write pictures of the page into build/screenshots
	$(PY) -m scripts.page.fetch
	$(PY) -m scripts.page.screenshots

lint: $(STAMP) ## check style, types and the import contracts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy $(CODE)
	$(VENV)/bin/lint-imports

format: $(STAMP) ## fix the style and format the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(STAMP) ## measure the module and compare it with bare ffmpeg
	$(PY) -m scripts.bench $(BENCH_ARGS)

demo: $(STAMP) ## record a synthetic camera, save a clip and fetch one
	$(PY) -m scripts.demo $(DEMO_ARGS)

soak: $(STAMP) ## run the module under random faults and check every frame (DURATION=minutes SEED=number)
	$(PY) -m scripts.soak --minutes $(DURATION) $(if $(SEED),--seed $(SEED)) $(SOAK_ARGS)

module: $(ARCHIVE) ## build module.tar.gz, which runs without Python, ffmpeg or network
	@:

module-check: $(ARCHIVE) $(STAMP) ## check that module.tar.gz runs; as root, in a bare Debian (CHECK_ARGS=)
	$(PY) -m scripts.release.module_check $(CHECK_ARGS)

package-check: $(STAMP) ## check the wheel in new environments (PYTHONS="python3.10 python3.13")
	$(PY) -m scripts.release.package_check $(PYTHONS)

wheel-check: $(STAMP) ## check that every pinned dependency has a wheel for linux/arm64 (PYTHONS="3.12 3.13")
	$(PY) -m scripts.release.wheel_check $(PYTHONS)

lock: $(STAMP) ## update requirements.lock to the newest versions
	$(PY) $(PIP_INSTALL) --upgrade --target $(MODULE_DIR)/uv uv
	$(MODULE_DIR)/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --no-annotate --extra module \
	    --custom-compile-command 'make lock' --output-file requirements.lock setup.cfg

clean: ## remove everything that was built
	rm -rf $(VENV) $(ARCHIVE) $(ARCHIVE).part build dist demo-output soak-output *.egg-info
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

# The environment is recreated if its Python is missing or too old, or if the command line names another version.
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

# A shell command that sets `chosen` to the first Python that can run $(1). If there is none, it says that one $(2).
define CHOOSE
chosen=; unfit=; \
	for python in $(PYTHON); do \
	    "$$python" $(VERSION) >/dev/null 2>&1 || continue; \
	    if "$$python" -c '$(1)' >/dev/null 2>&1; then chosen=$$python; break; fi; \
	    unfit=$${unfit:-$$python}; \
	done; \
	if [ -n "$$chosen" ]; then :; elif [ -n "$$unfit" ]; then \
	    echo "$$unfit $(2), or choose another Python with make PYTHON=/path/to/python3." >&2; \
	    exit 1; \
	else \
	    echo "No Python 3.10 or later was found among: $(PYTHON)." \
	        "Install one, or choose one with make PYTHON=/path/to/python3." >&2; \
	    exit 1; \
	fi
endef
CAN_SETUP := import ensurepip, venv
CANNOT_SETUP := cannot create environments: install its venv module (Debian and Ubuntu: the package python3-venv)
# PyInstaller adds Python's shared library to the archive.
CAN_FREEZE := import ctypes, ensurepip, sys, sysconfig, venv; \
    sys.platform == "darwin" or ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))
CANNOT_FREEZE := cannot create environments or lacks its shared library: run scripts/setup_build.sh

# Shell commands that end a set-up that failed or was interrupted; `make $(1)` tries again.
FAILED = { echo "The set-up failed (see above). Run make $(1) to try again." >&2; exit 1; }
INTERRUPTED = trap 'echo "The set-up was interrupted. Run make $(1) to try again." >&2; exit 130' INT TERM

# pip prints what it does, with progress bars only on a terminal. It gives up a dead connection after some minutes.
export PIP_DEFAULT_TIMEOUT ?= 30
export PIP_RETRIES ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# What builds the package. pip would hide its progress if it installed this by itself.
BUILD_NEEDS := 'setuptools>=70.1'
PIP_INSTALL = -m pip install --progress-bar $$(if [ -t 2 ]; then echo on; else echo off; fi)

# The stamp is written last: an environment without it is unfinished, and is created again. So is one whose update was
# killed, which leaves the file .updating.
UPDATING := $(VENV)/.updating
$(STAMP): setup.cfg setup.py pyproject.toml scripts/page/package-lock.json
	@set -e; \
	$(call INTERRUPTED,setup); \
	if [ -e $(STAMP) ] && [ ! -e $(UPDATING) ] && [ -n "$(INSTALLED)" ] && [ "$(INSTALLED)" = "$(WANTED)" ] && $(PY) -c 'import pip'; then \
	    echo "Updating $(VENV)." >&2; \
	    touch $(UPDATING); \
	else \
	    $(call CHOOSE,$(CAN_SETUP),$(CANNOT_SETUP)); \
	    echo "Setting up $(VENV) with Python $$("$$chosen" $(VERSION)). This takes one to ten minutes." >&2; \
	    rm -rf $(VENV); \
	    "$$chosen" -m venv $(VENV) || $(call FAILED,setup); \
	fi; \
	{ $(PY) $(PIP_INSTALL) $(BUILD_NEEDS) && $(PY) $(PIP_INSTALL) --no-build-isolation -e '.[test,lint]'; } >&2 \
	    || { rm -f $(UPDATING); $(call FAILED,setup); }; \
	$(PY) -m scripts.page.fetch; \
	touch $(STAMP); \
	rm -f $(UPDATING)

$(MODULE_STAMP): requirements.lock
	@set -e; \
	$(call INTERRUPTED,module); \
	$(call CHOOSE,$(CAN_FREEZE),$(CANNOT_FREEZE)); \
	echo "Setting up $(MODULE_DIR)/venv with Python $$("$$chosen" $(VERSION)). This takes one to ten minutes." >&2; \
	rm -rf $(MODULE_DIR)/venv; \
	"$$chosen" -m venv $(MODULE_DIR)/venv || $(call FAILED,module); \
	$(MODULE_PY) $(PIP_INSTALL) -r requirements.lock >&2 || $(call FAILED,module); \
	touch $(MODULE_STAMP)

$(ARCHIVE): $(MODULE_STAMP) scripts/release/build_module.py scripts/release/module_entry.py meta.json README.md LICENSE \
        scripts/page/package-lock.json $(shell find videostore -name '*.py' -o -path '*/web/page/*' -type f)
	$(MODULE_PY) -m scripts.page.fetch
	$(MODULE_PY) scripts/release/build_module.py --output $@
