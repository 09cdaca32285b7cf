# Two commands on a fresh machine: make book, make test. Each target sets up .venv by itself.

PYTHON ?= python3
TORCH ?=
TOPIC ?=
SEEDS ?= 0-9
VENV := .venv
BIN := $(VENV)/bin
READER := $(VENV)/.reader
INSTRUCTOR := $(VENV)/.instructor
DEVELOPER := $(VENV)/.developer
# Neither registry addresses nor one machine's build of torch belong in the lock.
LOCK := --quiet --upgrade --strip-extras --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe

.DEFAULT_GOAL := help
.PHONY: help book test lab execute verify bench student homework new check lock clean

help:  ## this list
	@echo "Deep Learning Notes, Executed"
	@echo
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */\1\t/' | awk -F'\t' '{printf "  make %-9s %s\n", $$1, $$2}'
	@echo
	@echo "  TOPIC=part/topic    one chapter (or several, in quotes) instead of all"
	@echo "  SEEDS=0-9           the seeds of make verify"
	@echo "  PYTHON=python3.12   another Python, 3.11 or newer"
	@echo "  TORCH='torch==2.13.0 --index-url ADDRESS'"
	@echo "                      another build of PyTorch, installed before all else when .venv is made:"
	@echo "                      the selector at pytorch.org shows the address for CPU, CUDA or ROCm."
	@echo "                      Plain pip on Linux takes the CUDA build, which is several GB."

book: $(READER)  ## build the site into _build/html
	@$(BIN)/python -m press site build

test: $(DEVELOPER)  ## run every test and every notebook, and verify what they print
	@$(BIN)/python -m pytest -n auto --dist worksteal --durations 12 --durations-min 1

lab: $(READER)  ## open JupyterLab on the chapters
	@$(BIN)/jupyter lab --notebook-dir=book

execute: $(READER)  ## run chapters and store their outputs
	@$(BIN)/python -m press run execute $(TOPIC)

verify: $(READER)  ## run chapters at other seeds: which claims hold at which?
	@$(BIN)/python -m press run verify $(TOPIC) --seeds $(SEEDS)

bench: $(DEVELOPER)  ## measure our code against its peers, and store the ratios
	@$(BIN)/python -m press bench $(TOPIC)
	@test -n "$(TOPIC)" || $(BIN)/python -m pytest -q --benchmark-enable benchmarks/homework

student: $(READER)  ## write a chapter without its solutions: make student TOPIC=kalman_filter
	@$(BIN)/python -m press student $(TOPIC)

homework: $(INSTRUCTOR)  ## what assigning homework needs; then: .venv/bin/python -m press homework
	@$(BIN)/python -m press homework doctor

new: $(READER)  ## start a chapter: make new TOPIC=part/topic
	@$(BIN)/python -m press new $(TOPIC)

check: $(DEVELOPER)  ## style, types, layers, structure: the quick checks
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	@$(BIN)/python -m press check

lock: $(DEVELOPER)  ## make requirements*.txt from the ranges in pyproject.toml
	@$(BIN)/pip-compile $(LOCK) --output-file requirements.txt pyproject.toml
	@$(BIN)/pip-compile $(LOCK) --extra homework --output-file requirements-homework.txt pyproject.toml
	@$(BIN)/pip-compile $(LOCK) --extra homework --extra test --output-file requirements-dev.txt pyproject.toml
	@for file in requirements.txt requirements-homework.txt requirements-dev.txt; do \
	  grep -v -E '^(#|nvidia-|cuda-|triton)' $$file | sed -E 's/^(torch==[0-9.]+)\+.*/\1/' > $$file.tmp; \
	  { echo "# Exact versions, from the ranges of pyproject.toml: make lock"; cat $$file.tmp; } > $$file; rm $$file.tmp; \
	done

clean:  ## remove what make built, but not .venv
	rm -rf _build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "The book needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
	  echo "Install a newer one and name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@test -z "$(TORCH)" || $(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)

$(READER): requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "Setting up $(VENV) (once; a few minutes) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(INSTRUCTOR): requirements-homework.txt $(READER)
	@echo "Adding what homework needs ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-homework.txt
	@touch $@

$(DEVELOPER): requirements-dev.txt $(READER)
	@echo "Adding what tests need ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
