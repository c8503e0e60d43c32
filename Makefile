# au3dmm: `make all` sets everything up and labels a dataset; `make test` sets everything up and runs the tests.
#
#   make all                       learn a basis, make a small synthetic dataset, label it, check the result, train on it
#   make all DATASET=DIR           label every recording below DIR (folders with session.toml)
#     [BASES=FILE]                   basis file; default: what DIR/dataset.toml says
#     [PIPELINE=label]               a pipeline file, or the name of a shipped one
#     [RUN=DIR]                      where results go; default: below DATASET
#     [ARGS='--executor dask']       any option of `au3dmm run`
#     [TRAIN=reduced]                then train on the labels, too: a training file, or the name of a shipped one
#   make train DATASET=DIR         train on labels that are there (TRAIN=reduced: minutes on a CPU), and say how good it is
#     [FORM=full]                    the file's other form: for a GPU
#     [TRAIN_ARGS='--set batch=8']   any option of `au3dmm train`
#   make tables DATASET=DIR        the experiments that need one dataset alone, in their reduced form: hours on a CPU
#     [REDUCED=]                     in full: for a GPU
#     [TABLES='table2 table6']       these (table6 and frame_rates need more: docs/experiments.md)
#     [TABLE_ARGS='--seed 0']        any option of `au3dmm experiment`
#   make label SESSION=DIR         label one recording, with pictures
#   make test | lint | format      tests; lint and types; tidy
#   make docs                      the documentation as a site, in site/; warnings are errors, nothing is fetched
#   make clean                     remove what was made (out/, site/); `make distclean` removes the environment too

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV ?= .venv
OUT ?= out
DEMO := $(OUT)/demo
DATASET ?= $(DEMO)
PIPELINE ?= label
RUN ?=
ARGS ?=
BIN := $(VENV)/bin
ifeq ($(DATASET),$(DEMO))
BASES ?= $(OUT)/bases.npz
TRAIN ?= reduced
# 12 recordings to learn from and 3 to choose by, whose accuracy says little; new labels of the demo are learnt anew
TRAIN_ARGS ?= --set batch=8 --set epochs=40 --set monitor=loss --anew
endif
TRAIN ?=
FORM ?=
TRAIN_ARGS ?=
REDUCED ?= --reduced
TABLES ?= table2 table3 table5 misalignment
TABLE_ARGS ?=
RESULTS = $(or $(RUN),$(DATASET)/derivatives/au3dmm/$(basename $(notdir $(PIPELINE))))
NETWORK = $(or $(TRAIN),reduced)
MODEL = $(RESULTS)/training/$(patsubst train_%,%,$(basename $(notdir $(NETWORK))))$(if $(FORM),_$(FORM))

# one thread per process: two threads of BLAS or torch in one process are slower, not faster
export OMP_NUM_THREADS ?= 1

.PHONY: all setup label demo bases train tables test lint format docs clean distclean
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

# what can be labelled is labelled and checked even where some sessions fail; then this fails, too, and says 3
all: setup $(if $(filter $(DEMO),$(DATASET)),demo bases)
	@failed=0; \
	$(BIN)/au3dmm run "$(PIPELINE)" --dataset "$(DATASET)" $(if $(BASES),--bases "$(BASES)") $(if $(RUN),--out "$(RUN)") $(ARGS) || failed=$$?; \
	case $$failed in 0|3) echo; $(BIN)/au3dmm validate --dataset "$(or $(RUN),$(DATASET))" || failed=$$?;; esac; \
	exit $$failed
	@$(if $(TRAIN),echo; $(train_and_evaluate))

train: setup
	@$(train_and_evaluate)

# a training that was stopped goes on; one that is done is evaluated again, which takes seconds
define train_and_evaluate
$(BIN)/au3dmm train "$(NETWORK)" --labels "$(RESULTS)" --out "$(MODEL)" --resume $(if $(FORM),--set form=$(FORM)) $(TRAIN_ARGS) && \
echo && best="$(MODEL)/best.pt" && { test -f "$$best" || best="$(MODEL)/last.pt"; } && \
$(BIN)/au3dmm evaluate --checkpoint "$$best" --labels "$(RESULTS)"
endef

tables: setup
	@failed=0; for table in $(TABLES); do \
	  $(BIN)/au3dmm experiment "$$table" --labels "$(RESULTS)" $(REDUCED) $(TABLE_ARGS) || failed=$$?; echo; \
	done; exit $$failed

# only what is missing, or was made by another generator, is made
demo: setup
	$(BIN)/au3dmm synth dataset --out "$(DEMO)" --subjects 6 --aus AU1,AU12,AU26 --repetitions 1 --small

bases: setup
	$(BIN)/au3dmm fit-bases --corpus synthetic --out "$(OUT)/bases.npz"

label: setup
	@test -n "$(SESSION)" || { echo "make label: which recording? make label SESSION=DIR, a folder with session.toml"; exit 2; }
	$(BIN)/au3dmm label --session "$(SESSION)" --overlay $(if $(BASES),--bases "$(BASES)") $(ARGS)

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "au3dmm needs Python 3.11 or newer; found: $$("$(PYTHON)" --version 2>&1). Try: make PYTHON=/path/to/python3.11"; exit 2; }
	"$(PYTHON)" -m venv "$(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs]'
	$(BIN)/au3dmm weights get mediapipe
	@touch $@

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# (the variable: no advertisement of other tools among the warnings)
docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --clean
	@echo "site/index.html; to search it, too: $(BIN)/python -m http.server --directory site, and open http://localhost:8000"

clean:
	rm -rf "$(OUT)" site

distclean: clean
	rm -rf "$(VENV)"
