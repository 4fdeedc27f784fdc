# make demo | check | test | test-director | test-zabbix | lint | types | bench | faults | contrib |
# docs | dist | deb | rpm | image-check | release-check | clean.
# Every target sets up what it needs in .venv.
# check is quick: lint, types, the tests that need no root and no network. test runs every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# Most tests wait for servers and hardly use a core. A module runs in one process; tests marked `timing` run alone.
PARALLEL := --numprocesses 3 --dist loadgroup
SOURCES := setup.cfg pyproject.toml

.PHONY: demo test test-director test-zabbix lint types bench faults contrib docs dist deb rpm image-check release-check check clean

demo: $(VENV)/.demo
	@$(BIN)/python -m check_ssh_exchange.demo

test: $(VENV)/.dev
	@sh tests/prepare.sh
	$(BIN)/python -m pytest $(PARALLEL) -rfEs

test-director: $(VENV)/.dev
	@sh tests/prepare.sh python3 mariadb-server-core mariadb-client-core icingacli icingaweb2-module-director php-mysql \
	  icinga2-bin openssl openssh-client
	$(BIN)/python -m pytest -rfEs tests/databases/test_director.py

test-zabbix: $(VENV)/.dev
	@sh tests/prepare.sh openssh-client zabbix-server-pgsql zabbix-frontend-php zabbix-agent postgresql postgresql-client \
	  php-cli php-pgsql php-mbstring php-gd php-xml php-bcmath curl
	$(BIN)/python -m pytest -rfEs tests/databases/test_zabbix.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/python -m tests.lengths

types: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	@$(BIN)/python -m bench

faults: $(VENV)/.dev
	@sh tests/prepare.sh
	@$(BIN)/python -m faults

docs: $(VENV)/.dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo build/site/index.html

dist: $(VENV)/.dev
	@$(BIN)/python -m release.dist

deb: $(VENV)/.made
	@sh tests/prepare.sh mmdebstrap autopkgtest dpkg-dev iproute2
	@packaging/deb/build.sh

rpm: $(VENV)/.made
	@sh tests/prepare.sh rpm
	@PYTHON=$(abspath $(BIN)/python) sh packaging/rpm/build.sh

image-check: $(VENV)/.dev
	@sh tests/prepare.sh podman runc openssh-client openssl
	$(BIN)/python -m pytest -rfEs tests/containers

release-check: $(VENV)/.dev
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m release

contrib: $(VENV)/.dev
	@$(BIN)/python -m contrib.generate

check: lint types
	$(BIN)/python -m pytest $(PARALLEL) -m 'not real and not timing and not network' -rfEs

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { sh tests/prepare.sh python3-venv; $(PYTHON) -m venv --clear $(VENV); }
	@touch $@

$(VENV)/.demo: $(VENV)/.made $(SOURCES)
	@$(PIP) install '.[explain]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made $(SOURCES)
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.demo
