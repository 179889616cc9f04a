# make demo | test | lint | bench: each sets up what it needs on a fresh machine with Python 3.11 and pip.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
CORES ?= all
DEMO := data/demo
# Without a GPU two small models at once, each on half of the processors, are quicker than one after the other on all.
HALF := $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n > 1 ? n / 2 : 1)))
TRAINING := pretrain linear finetune readings finetune_ehr own_linear score embed
TWO_AT_ONCE := $(if $(shell command -v nvidia-smi),,--resources gpu=2 --set-threads $(addsuffix =$(HALF),$(TRAINING)))
DEMO_RUN := $(BIN)/snakemake --cores $(CORES) --configfile workflow/configs/demo.yaml $(TWO_AT_ONCE)
LINT_DATA := 'data={"mimic_iv": "data/lint/mimic-iv", "mimic_cxr": "data/lint/mimic-cxr-jpg"}' 'cohort={"split": "official"}'
export MPLCONFIGDIR := $(CURDIR)/.venv/matplotlib

.PHONY: help setup demo test test-slurm lint bench faults clean-demo

help:
	@echo "make demo    the whole study on embedded synthetic data; ends by naming the report to open"
	@echo "make test    the tests, on a real Slurm too where one may be installed (SLURM=no leaves that out)"
	@echo "make test-slurm    that part alone: a one-node Slurm on this machine runs the workflow (Debian, root)"
	@echo "make lint    ruff, mypy, snakefmt, snakemake --lint"
	@echo "make bench   speed beside the released way of doing it"
	@echo "make faults  kill and spoil a small study in every way we know (Linux; about an hour; root for full disks)"

setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "error: Python 3.11 or newer not found; name yours: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Setting up .venv from requirements.lock (about 6 GB, most of it torch; a few minutes, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: .venv/installed
	@echo "The whole study on synthetic patients: 6 to 10 minutes on two cores. It ends by naming the report to open."
	@echo "Ctrl-C stops it; the same command goes on from there."
	@$(BIN)/mmsn synth --output $(DEMO) --patients 240 --side 144 --seed 1 --workers 2
	@$(DEMO_RUN)
	@[ results/demo/report.html -nt results/demo/tables/linear_mimic-cxr_vit-demo.html ] || \
		$(DEMO_RUN) --report results/demo/report.html --quiet all
	@echo
	@echo "Open the report:  results/demo/report.html"
	@echo "The main table:   results/demo/tables/linear_mimic-cxr_vit-demo.md  (.csv, .tex, .html beside it)"
	@echo "Which file is what: results/README.md"

test: .venv/installed
	@echo "The tests: 11 minutes on two cores, 6 more where a real Slurm may be brought up (SLURM=no: without), 2 of lint."
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --ignore=tests/slurm $(PYTEST)
	@bash tests/slurm/run.sh
	@$(MAKE) --no-print-directory lint

test-slurm: .venv/installed
	@SLURM=$(or $(SLURM),yes) bash tests/slurm/run.sh

lint: .venv/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/snakefmt --check Snakefile rules
	@$(BIN)/mmsn synth --output data/lint --patients 40 --tables-only --seed 0
	@$(BIN)/snakemake --lint --config results=data/lint/results $(LINT_DATA)

bench: .venv/installed
	@$(BIN)/python benchmarks/cohort_join.py
	@$(BIN)/python benchmarks/imputation.py
	@$(BIN)/python benchmarks/labevents.py
	@$(BIN)/python benchmarks/bootstrap.py
	@$(BIN)/python benchmarks/views.py
	@$(BIN)/python benchmarks/pretrain_step.py
	@$(BIN)/python benchmarks/scaling.py
	@$(BIN)/python benchmarks/packing.py
	@$(BIN)/python benchmarks/linear_protocol.py
	@$(BIN)/python benchmarks/decode.py
	@$(BIN)/python benchmarks/store_memory.py
	@$(BIN)/python benchmarks/null_simulation.py

faults: .venv/installed
	@$(BIN)/python -m tests.reliability.faults $(FAULTS)

clean-demo:
	@rm -rf $(DEMO) results/demo
