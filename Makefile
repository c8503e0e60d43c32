# au3dmm: `make all` sets everything up and labels a recording; `make test` sets everything up and runs the tests.
#
#   make all                      label a small synthetic recording (made on the spot)
#   make all SESSION=DIR          label the recording in DIR (a folder with session.toml)
#   make test | lint | format     tests; lint and types; tidy
#   make clean                    remove what `make all` made (out/); `make distclean` removes the environment too

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
OUT ?= out
SESSION ?= $(OUT)/demo/session
RUN ?= $(OUT)/demo/derivatives
BIN := $(VENV)/bin
DEMO := $(OUT)/demo/session/session.toml

# one thread per process: two threads of BLAS or torch in one process are slower, not faster
export OMP_NUM_THREADS ?= 1

.PHONY: all setup test lint format clean distclean
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

all: setup $(if $(filter $(OUT)/demo/session,$(SESSION)),$(DEMO))
	$(BIN)/au3dmm label --session "$(SESSION)" --out "$(RUN)" --overlay
	$(BIN)/au3dmm validate "$(RUN)"
	@echo
	@echo "Labels: $$(find "$(RUN)" -name labels.parquet)"
	@echo "Look at: $$(find "$(RUN)" -name overlay.png)"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "au3dmm needs Python 3.11 or newer; found: $$("$(PYTHON)" --version 2>&1). Try: make PYTHON=/path/to/python3.11"; exit 2; }
	"$(PYTHON)" -m venv "$(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/au3dmm weights get mediapipe
	@touch $@

# made again when its generator changes; equal generators make equal bytes
$(DEMO): $(wildcard src/au3dmm/synthetic/*.py) assets/flame_template/demo_bases.npz | setup
	$(BIN)/au3dmm synth session --out "$(OUT)/demo/session" --force

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf "$(OUT)"

distclean: clean
	rm -rf "$(VENV)"
