# `make run` serves everything on this machine; `make test` checks everything. Both set up what pip can bring; `make test` says what else is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests without a mark run side by side, heavy ones two at a time, and those that need a machine to themselves alone.
# There is one worker more than there are cores, since many tests wait for a moment.
WORKERS = $(shell expr $$(nproc) + 1)
HEAVY := browser or processes
ALONE := weights or load or chaos

# Workers and programs under test would compile every module again, each for itself.
test: export PYTHONDONTWRITEBYTECODE =

.PHONY: run test quality lint bench pictures clean setup setup-dev

run: setup
	$(BIN)/tempera run

test: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal -m "not ($(HEAVY) or $(ALONE) or quality)"
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "($(HEAVY)) and not ($(ALONE) or quality)"
	$(BIN)/python -m pytest -m "($(ALONE)) and not quality"

# How well questions are answered and attacks are caught, with all that was held out; `make test` has samples of it.
quality: setup-dev
	$(BIN)/python -m pytest -m quality

lint: setup-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench
	$(BIN)/tempera-models bench language
	$(BIN)/python -m plugins.explain.evaluation.measure tests/data/explain_held_out_3.jsonl \
	  --also tests/data/plain_lesson.txt tests/data/plain_lesson_headings.json
	$(BIN)/tempera-models bench answers
	$(BIN)/tempera-models serve --model classroom-moderation --port 8409 & server=$$!; \
	  PYTHONPATH=tests $(BIN)/python -m quality.safety tests/data/safety_held_out_4.jsonl --server http://127.0.0.1:8409; \
	  status=$$?; kill $$server; exit $$status
	$(BIN)/tempera-models bench diffusion

# The screenshots of docs/pictures, from the running program; look at each before you keep it.
pictures: setup-dev
	PYTHONPATH=tests $(BIN)/python docs/pictures/take.py

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

setup: $(VENV)/.run
setup-dev: $(VENV)/.dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tempera needs Python 3.11 or newer. Name one like this: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python cannot make a virtual environment. On Debian: apt install python3-venv"; exit 1; }

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "Installing Tempera and what it needs (PyTorch is large: this takes minutes the first time) …"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --editable '.[models]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing Tempera and its checks (PyTorch is large: this takes minutes the first time) …"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --editable '.[models,dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.bench: pyproject.toml $(VENV)/.dev
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[models,dev,bench]'
	@touch $@
