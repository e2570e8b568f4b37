# Every target sets itself up: a bare Debian 12 with make and Python 3.11 is enough.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2
MINUTES ?= 1

export KERNEL ?= uml
KERNELS ?= $(JOBS)
RESULTS = build/host/junit.xml build/uml/junit-*.xml build/qemu/junit-*.xml

.PHONY: help check lint unit test test-vm vm-kernel bench chaos endure differential demo docs build clean tools vm-tools

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

check: lint unit  ## style, types, import contracts, and the tests that need no kernel

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/python -m pytest -q -m "not kernel and not slow" -n $(JOBS) --dist worksteal

test: $(STAMP) tools  ## everything but the slow suites; as root it includes the kernel tests
	@if [ "$$(id -u)" != 0 ]; then echo "make test: not root: the tests in tests/kernel need private namespaces and will be skipped"; fi
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist worksteal --junitxml=build/host/junit.xml || code=$$?
	$(BIN)/python -m tests.vm.proven $(RESULTS)
	exit $${code:-0}

test-vm: $(STAMP) tools vm-tools  ## the tests that say what they need, in a second kernel (no root, no KVM); TESTS='-k vlan' for some, KERNEL=qemu for a distribution's own
	@tests/vm/run-tests.sh "$(CURDIR)/$(BIN)/python" $(KERNELS) $(TESTS) || code=$$?
	$(BIN)/python -m tests.vm.proven $(RESULTS)
	exit $${code:-0}

vm-kernel:  ## build a second kernel that can do more than Debian's (minutes, once); test-vm then takes it
	@tests/vm/build-kernel.sh

chaos: $(STAMP) tools  ## a watch under kills, edits and vandalism (root); MINUTES=5 for longer, SEED=n for the same again
	MINUTES=$(MINUTES) $(BIN)/python -m pytest -m slow tests/kernel/test_watch_chaos.py --timeout 0

bench: $(STAMP) tools  ## ratios against ip -batch, as a Markdown table (root)
	$(BIN)/python -m tests.bench.ratios $(BENCH)

endure: $(STAMP) tools  ## a watch repairs CYCLES=10000 times over 200 endpoints, and must not hold more than before (root)
	$(BIN)/python -m tests.bench.endurance $(CYCLES)

differential: $(STAMP) vm-tools  ## record again what Docker makes of the same specifications, in a second kernel (minutes); SPECS='null bridge' for some
	@tests/differential/run.sh "$(CURDIR)/$(BIN)/python" $(SPECS)

demo: $(STAMP) tools  ## plan, apply, break, repair and destroy an example in a private host
	@demo/quickstart.sh

docs: $(STAMP)  ## bring the parts of the documentation up to date that are made from the product
	$(BIN)/python -m tests.docs

build: $(STAMP)  ## wheel and source archive in dist/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build
	$(BIN)/python -m build --outdir dist .

clean:  ## remove everything that was made here
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamp is written last, so an interrupted installation is done again.
$(STAMP): pyproject.toml
	@python=""
	for candidate in python3.11 python3 python3.12 python3.13 python3.14; do
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi
	done
	if [ -z "$$python" ]; then echo "make: needs Python 3.11 or newer: install python3 and try again" >&2; exit 1; fi
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
	    if [ "$$(id -u)" != 0 ]; then echo "make: Python lacks venv: install python3-venv and try again" >&2; exit 1; fi
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv
	fi
	"$$python" -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(STAMP)

# What the kernel tests, the benchmark and the demo run beside Python.
tools:
	@tests/packages.sh ip:iproute2 bridge:iproute2 ping:iputils-ping sysctl:procps setpriv:util-linux mount:mount git:git ssh-keygen:openssh-client ||
	    [ "$$(id -u)" != 0 ] # then the tests that need them say so

vm-tools:
	@tests/vm/set-up.sh
