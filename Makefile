# Everything a person or CI runs. `make` alone lists the targets.

VENV := .venv
PY := $(VENV)/bin/python
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
SYSTEM_PACKAGES := iproute2 nftables python3-venv
SYSTEM_COMMANDS := ip nft unshare mount python3
# Four at once, because most tests wait for a virtual network, not for a processor.
PYTEST := --numprocesses=4 --dist=worksteal

.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.ready ## install system packages, the virtual environment and the distribution; quick when done

$(VENV)/.system:
	@missing=$$(for c in $(SYSTEM_COMMANDS); do command -v $$c >/dev/null || [ -x /usr/sbin/$$c ] || echo $$c; done); \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then echo "installing $(SYSTEM_PACKAGES) (missing:" $$missing")"; \
	  $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(SYSTEM_PACKAGES); fi
	@python3 -m venv $(VENV)
	@touch $@

$(VENV)/.ready: pyproject.toml $(VENV)/.system
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[central,lab,dev]'
	@touch $@

demo: setup ## play a polling station whose links fail, live; SECONDS=60 runs unattended and judges
	@$(PY) -m lab demo $(if $(SECONDS),--seconds $(SECONDS))

neighbours: setup ## fetch other network managers and promtool for the tests; unpacked into .cache, never installed; quick when done
	@$(PY) tests/namespaces/neighbours_fetch.py
	@$(PY) -m tests.central.mosquitto
	@$(PY) tests/promtool.py

test: setup neighbours ## run every test, those with real packets too
	@$(PY) -m lab enter -- $(PY) -m pytest $(PYTEST)

lint: setup ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

types: setup ## mypy, strict
	@$(PY) -m mypy

check: lint types test ## everything that CI checks

docs: setup ## generate docs/operating.md from wire/codes.py
	@$(PY) -m wire.codes > docs/operating.md

bench-lab: setup ## measure the lab itself; writes the table in docs/lab.md
	@$(PY) -m lab enter -- $(PY) bench/lab_accuracy.py

bench-failover: setup ## measure how long a dead uplink cuts a LAN off, beside dpinger; writes the table in docs/failover.md
	@$(PY) -m lab enter -- $(PY) -m bench.failover

bench-handover: setup ## measure what a switch costs those who send, and who stays where; writes the table in docs/failover.md
	@$(PY) -m lab enter -- $(PY) -m bench.handover

bench-repair: setup ## measure how soon a killed agent is taken up by the next, at each step of a switch; writes docs/failover.md
	@$(PY) -m lab enter -- $(PY) -m bench.repair

bench-detect: setup ## simulate months of every kind of link under our detector and others' rules; writes docs/failover.md
	@$(PY) -m bench.detect

bench-cost: setup ## measure what the agent costs; writes the table in docs/architecture.md
	@$(PY) -m lab enter -- $(PY) -m bench.daemon_cost

bench-measure: setup ## measure how well we measure, and for how much; SIAGA_TRACES names recordings; writes docs/measuring.md
	@$(PY) -m bench.measure.debian
	@$(PY) -m lab enter -- $(PY) -m bench.measure

bench-chaos: setup ## let 300 random faults loose on five stations and a centre, then look for every record; SEED=N; writes docs/reporting.md
	@$(PY) -m lab enter -- $(PY) -m bench.chaos --write $(if $(SEED),--seed $(SEED))

bench-report: setup ## measure what reporting costs on the wire and on the card; writes docs/reporting.md
	@$(PY) -m lab enter -- $(PY) -m bench.report

bench-enrol: setup ## enrol 701 stations at once, kill the broker under them, revoke one; writes docs/enrolment.md
	@$(PY) -m bench.enrol

fuzz: $(VENV)/.fuzz ## give every reader of outside bytes made-up ones; SECONDS=30 each
	@$(PY) -m fuzz $(if $(SECONDS),--seconds $(SECONDS))

$(VENV)/.fuzz: $(VENV)/.ready
	@$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

clean: ## remove the virtual environment and what builds leave behind
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .cache

.PHONY: help setup demo neighbours fuzz test lint types check docs bench-lab bench-failover bench-handover bench-repair bench-detect bench-cost bench-measure bench-chaos bench-report bench-enrol clean
