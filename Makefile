# Everything a person or CI runs. `make` alone lists the targets.

VENV := .venv
PY := $(VENV)/bin/python
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
SYSTEM_PACKAGES := iproute2 nftables python3-venv
SYSTEM_COMMANDS := ip nft unshare nsenter python3

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

.PHONY: help setup
