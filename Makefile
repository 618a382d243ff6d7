# Every task of this project, on Linux and macOS with GNU make 3.81 or later; `make` alone lists them.

# The interpreter for a new environment: make setup PYTHON=/path/to/python3.12
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE := swarm tests
VLLM_LOCK_HEADER := \# Exact versions with hashes, for the tests on the real vLLM on Linux on x86-64; made by `make lock-vllm`.
LOCK_HEADER := \# Exact versions with hashes, for running and developing on Python 3.11 and 3.12; made by `make lock`.

# Shell text that sets $$python. Each candidate is really started, since the shims of version managers may exist and fail.
define find_python
python=; \
for candidate in $(or $(PYTHON),python3.12 python3.11 python3); do \
  if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; \
  then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo 'No Python 3.11 or 3.12 that can make environments was found: add PYTHON=/path/to/python3.12' >&2; exit 1; \
fi
endef

.DEFAULT_GOAL := help
.PHONY: help
help: ## list these tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(VENV)/.ready ## make .venv with the locked packages; does nothing when that is up to date
	@:

# A stamp is written last, so what was interrupted is done again. Another lock gets an empty environment, in which
# nothing is left of the packages it no longer names.
$(VENV)/.locked: requirements.lock
	@$(find_python); \
	echo "Making $(VENV) with $$python: about a minute and 900 MB"; \
	"$$python" -m venv --clear $(VENV)
	@$(PIP) install --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml Makefile
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: run
run: setup ## trade in the wood: the shortest way to see it work
	@$(BIN)/swarm run configs/wood.yaml

# The checks run beside the tests and are silent when they pass, so that the last lines are pytest's own summary.
.PHONY: test
test: setup ## lint, types, contracts and all tests but the slow ones and those of a browser, of vLLM or of kills
	@mkdir -p .cache
	@echo 'lint, types and contracts run beside the tests and report at the end if one of them fails'
	@$(MAKE) --no-print-directory --keep-going lint types contracts >.cache/checks.log 2>&1 & checks=$$!; \
	status=0; \
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m 'not slow and not browser and not vllm and not faults' \
	  || status=$$?; \
	wait $$checks || { \
	  echo; echo 'lint, types or contracts:'; cat .cache/checks.log; \
	  echo; echo 'FAILED: lint, types or contracts, as shown above'; status=1; \
	}; \
	exit $$status

.PHONY: test-browser
test-browser: setup ## the tests that need a browser
	@$(BIN)/python -m pytest -m browser

.PHONY: test-slow
test-slow: setup ## the tests that take minutes
	@$(BIN)/python -m pytest -m slow

.PHONY: test-cluster
test-cluster: setup ## kill processes and nodes of real clusters in the middle of runs; takes about five minutes
	@$(BIN)/python -m pytest -m faults

# A seed that fails is printed, and RUNS=1 SEED=... runs it again.
.PHONY: fuzz
fuzz: setup ## simulate runs with faults for SECONDS=60 from SEED=..., a fresh one if none is given
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS))

# An environment of its own, since vLLM brings torch and takes 2.5 GB, which nothing else here needs.
VLLM := .venv-vllm

.PHONY: test-vllm
test-vllm: $(VLLM)/.ready ## the tests on the real vLLM on the CPU (Linux on x86-64; first installs 2.5 GB in .venv-vllm)
	@$(VLLM)/bin/python -m pytest -m vllm tests/vllm

# vLLM depends on packages that its build for CPUs cannot use, so the lock leaves them out and is installed as it stands.
$(VLLM)/.locked: requirements-vllm.lock
	@$(find_python); \
	echo "Making $(VLLM) with $$python: some minutes and 2.5 GB"; \
	"$$python" -m venv --clear $(VLLM)
	@$(VLLM)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes \
	  --requirement requirements-vllm.lock || { \
	  echo 'If pip found no torch with +cpu: it is on the index of PyTorch for CPUs; name that in PIP_EXTRA_INDEX_URL' >&2; \
	  exit 1; }
	@touch $@

$(VLLM)/.ready: $(VLLM)/.locked pyproject.toml
	@$(VLLM)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lint
lint: setup ## style, likely bugs and formatting (ruff)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)

.PHONY: format
format: setup ## rewrite the code in the one format, with what ruff can mend
	@$(BIN)/ruff check --fix-only $(CODE)
	@$(BIN)/ruff format $(CODE)

.PHONY: types
types: setup ## types (mypy, strict)
	@$(BIN)/mypy

.PHONY: contracts
contracts: setup ## which package may import which (import-linter)
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

# Versions already locked stay unless pyproject.toml rules them out; UPGRADE=1 takes the newest of everything.
# Whatever indexes this machine is set up with are put aside: the hashes must be those of the public files.
.PHONY: lock
lock: ## resolve requirements.lock again (UPGRADE=1: to the newest versions)
	@$(find_python); \
	[ -x .cache/lock/bin/uv ] || { "$$python" -m venv --clear .cache/lock && .cache/lock/bin/python -m pip install --quiet uv; }
	@if [ -f requirements.lock ]; then cp requirements.lock .cache/requirements.lock; fi
	@env -u UV_INDEX -u UV_INDEX_URL -u UV_DEFAULT_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
	  .cache/lock/bin/uv --no-config --quiet pip compile pyproject.toml --extra dev --output-file .cache/requirements.lock \
	  --universal --python-version 3.11 --fork-strategy fewest $(if $(UPGRADE),--upgrade) \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url
	@{ echo '$(LOCK_HEADER)'; cat .cache/requirements.lock; } >requirements.lock.new
	@mv requirements.lock.new requirements.lock

# uv finds the CPU build of torch where UV_FIND_LINKS or UV_INDEX says; its hashes are those of the public files.
.PHONY: lock-vllm
lock-vllm: ## resolve requirements-vllm.lock again
	@$(find_python); \
	[ -x .cache/lock/bin/uv ] || { "$$python" -m venv --clear .cache/lock && .cache/lock/bin/python -m pip install --quiet uv; }
	@printf '%s\n' torchvision torchaudio torchcodec triton >.cache/vllm-left-out.txt
	@.cache/lock/bin/uv --no-config --quiet pip compile requirements-vllm.in pyproject.toml --extra dev \
	  --excludes .cache/vllm-left-out.txt --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --output-file .cache/requirements-vllm.lock
	@{ echo '$(VLLM_LOCK_HEADER)'; cat .cache/requirements-vllm.lock; } >requirements-vllm.lock

.PHONY: bench-engine
bench-engine: $(VLLM)/.ready ## measure how busy the swarm keeps the real vLLM on the CPU
	@$(VLLM)/bin/python tests/vllm/lookalikes.py .cache/lookalikes
	@$(VLLM)/bin/swarm bench engine --engine .cache/lookalikes/llama-3.2-3b --json docs/benchmarks/engine.json

.PHONY: bench-table
bench-table: setup ## write the README's table of figures from docs/benchmarks
	@$(BIN)/python -m swarm.bench.table docs/benchmarks README.md

.PHONY: clean
clean: ## remove the environment, caches and builds, but no runs
	@rm -rf $(VENV) $(VLLM) .cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
