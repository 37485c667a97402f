# make help lists what there is. Every target does its own set-up.
VENV    ?= .venv
PYTHON  ?= python3
PY      := $(VENV)/bin/python
PYTEST  := $(PY) -m pytest -q
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo)

APT := openvswitch-switch user-mode-linux iproute2 kmod procps iputils-ping nftables python3-venv
APT_TEST := postgresql mininet

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/installed: setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { $(MAKE) --no-print-directory apt && $(PYTHON) -m venv --clear $(VENV); }
	@echo "Python packages into $(VENV), which takes a minute or two"
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

.PHONY: venv
venv: $(VENV)/installed  ## the Python environment alone

.PHONY: apt apt-test
apt-test: APT += $(APT_TEST)
apt apt-test:  ## the Debian packages that are missing (apt-test: also what only tests and benchmarks need)
	@missing=""; for p in $(APT); do \
	  dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "installing$$missing"; \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing </dev/null >/dev/null; fi

.PHONY: demo
demo: apt venv  ## a small data centre in namespaces: the whole main job, live (ONCE=1 ends by itself)
	$(SUDO) $(PY) -m demo.main $(if $(ONCE),--once)

.PHONY: unit
unit: venv  ## unit tests: seconds, Python only
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(PYTEST) -p xdist.plugin -p pytest_timeout -n auto --dist loadfile tests/unit

.PHONY: sim
sim: venv  ## whole traffic matrices through the in-memory switch, and the driver conformance suites
	$(PYTEST) -n auto tests/sim tests/conformance

.PHONY: api
api: apt-test venv  ## the store on SQLite and PostgreSQL, the API with a real client
	$(PYTEST) -n 3 --dist loadgroup tests/db tests/api

.PHONY: ovs
ovs: apt venv  ## real Open vSwitch
	$(SUDO) $(PYTEST) -n 3 tests/ovs

.PHONY: faults
faults: apt-test venv  ## switches that misbehave, a database that goes away: simulated switches on the real controller
	$(SUDO) $(PYTEST) -n 2 --dist loadfile tests/faults

.PHONY: kernel
kernel: apt venv  ## the legacy agent on real kernels
	$(SUDO) $(PYTEST) -n 3 --dist loadfile tests/kernel

.PHONY: matrix
matrix: apt venv  ## the main job on real traffic: controller, agents, switches and hosts together
	$(SUDO) $(PYTEST) tests/matrix

.PHONY: fabric
fabric: apt-test venv  ## OpenFlow switches cabled to each other: rings, clouds, hosts, Mininet
	$(SUDO) $(PYTEST) -n 2 --dist loadfile tests/fabric

.PHONY: soak
soak: $(if $(DATABASE),apt-test,apt) venv  ## random changes and disturbances on the real bed (SECONDS=120 SEED=n DATABASE=postgresql); not in test
	$(SUDO) env SECONDS=$(SECONDS) SEED=$(SEED) DATABASE=$(DATABASE) \
	  $(PY) -m tests.support.sandbox $(PY) -m tests.soak.main

.PHONY: test
test: lint unit sim api faults ovs kernel matrix fabric  ## everything

.PHONY: lint
lint: venv  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

.PHONY: bench
bench: apt-test venv  ## ratios against named references
	$(SUDO) $(PY) -m bench.all

.PHONY: docs
docs: venv  ## generate docs/pipeline.md from the declared tables, docs/configuration.md from the options
	$(PY) -m mechanisms.openflow.describe > docs/pipeline.md
	$(PY) -m controller.cli.describe_config > docs/configuration.md

.PHONY: clean
clean:  ## remove what the targets made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
