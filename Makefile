# Commands for developers. Each installs what it needs, on Debian or Ubuntu, as root.

MACHINE := checks/machine
# The path of this project in the machine, read-only.
PROJECT := /opt/pi-agent
PROGRAMS := checks/machine checks/eval/run checks/guest/activate checks/guest/enter checks/guest/model-server \
  checks/guest/vm/usr/local/lib/pi-agent-checks/follow \
  $(wildcard checks/demo runner.py wrapper.py)
SOURCES := $(PROGRAMS) checks/guest/probe.py checks/guest/skips_fail.py $(wildcard checks/benchmark checks/eval checks/harness checks/support checks/scenarios checks/escapes pi_agent tests)
# The reason of a skip is always shown. In CI, a skipped scenario counts as failed: see checks/scenarios.
SCENARIOS ?= $(PROJECT)/checks/scenarios
# The scenarios from which `make scenarios-vm` selects by mark.
LIMITS := $(addprefix $(PROJECT)/checks/,scenarios escapes)
# The scenarios that `make soak` runs at full length.
SOAK := $(addprefix $(PROJECT)/checks/scenarios/,test_load.py test_faults_steps.py test_faults_parts.py test_races.py)
PYTEST_ARGS ?=
# Which sudo the machine has: sudo, or sudo-rs.
SUDO ?= sudo
export PI_AGENT_CHECKS_SUDO := $(SUDO)
# The release of Debian that the machine is made of. `make RELEASE=sid …` builds another one: see CONTRIBUTING.md.
RELEASE ?= trixie
export PI_AGENT_CHECKS_RELEASE := $(RELEASE)
IN_PROJECT := --env PYTHONPATH=$(PROJECT)/checks/guest --cwd $(PROJECT)
PYTEST := python3 -B -m pytest -ra -p no:cacheprovider -p skips_fail

.NOTPARALLEL:

.PHONY: help
help:
	@echo 'make test       run every check below except unit-3.14, fuzz, soak and bench'
	@echo 'make demo       show the main use case in the machine'
	@echo 'make shell      open a shell as alice in the machine'
	@echo 'make lint       run ruff, mypy, import-linter and nixfmt'
	@echo 'make unit       run the unit tests: no root, no network'
	@echo 'make unit-3.14  run the unit tests under another Python: 3.13 or 3.14'
	@echo 'make fuzz       fuzz every parser: SECONDS=60 each'
	@echo 'make eval       check the NixOS module, with Nix in the machine'
	@echo 'make scenarios  run the end-to-end tests in the machine'
	@echo 'make scenarios-vm  run the scenarios that need their own kernel, in a virtual machine'
	@echo 'make escapes    try to escape from the sandbox, in the machine'
	@echo 'make soak       run the scenarios of load, faults and races at full length: an hour'
	@echo 'make bench      measure the speed against alternatives: a quarter of an hour'
	@echo 'make docs       generate docs/options.md, docs/self-running.md and the tables in README.md'
	@echo 'make machine    start the machine, or update it to this checkout'
	@echo 'make clean      remove the machines and .venv'

.PHONY: test
test: lint unit unit-3.13 eval scenarios escapes demo scenarios-vm

.PHONY: demo
demo: machine
	checks/demo

.PHONY: shell
shell: machine
	$(MACHINE) shell

.PHONY: machine
machine: python
	$(MACHINE) up

.PHONY: lint
lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy $(SOURCES)
	PYTHONPATH=checks .venv/bin/lint-imports --no-cache --no-logo
	@if command -v nixfmt >/dev/null; then nixfmt --check $$(git ls-files --cached --others --exclude-standard '*.nix'); \
	else echo 'nixfmt is not here: the format of the Nix files was not checked'; fi

.PHONY: unit
unit: .venv/ready
	.venv/bin/pytest $(PYTEST_ARGS)

# The same under the Pythons that nixpkgs has now and will have next.
.PHONY: unit-3.13 unit-3.14
unit-3.13 unit-3.14: unit-%: python
	$(MACHINE) unit $* -- $(PYTEST_ARGS)

# Seconds for each target. The inputs found stay in .fuzz for the next run.
SECONDS ?= 60
.PHONY: fuzz
fuzz: .venv/ready
	@for target in $$(.venv/bin/python -c 'from tests.fuzz.targets import TARGETS; print(*TARGETS)'); do \
	  echo "$$target"; \
	  .venv/bin/python -m tests.fuzz $$target .fuzz/$$target -max_total_time=$(SECONDS) -artifact_prefix=.fuzz/ \
	    -print_final_stats=1 -verbosity=0 || exit 1; \
	done

.PHONY: eval
eval: machine
	$(MACHINE) exec -- $(PROJECT)/checks/eval/run

.PHONY: docs
docs: machine .venv/ready
	$(MACHINE) exec -- $(PROJECT)/checks/eval/run --docs >docs/options.md.new
	mv docs/options.md.new docs/options.md
	.venv/bin/python -m pi_agent.messages.catalogue README.md
	.venv/bin/python -m pi_agent.sandbox.self_running_page docs/self-running.md README.md

.PHONY: scenarios
scenarios: machine
	$(MACHINE) exec $(if $(CI),--env CI=$(CI)) \
	  $(IN_PROJECT) -- $(PYTEST) $(SCENARIOS) $(PYTEST_ARGS)

# Limits that the kernel enforces, which a container cannot show. Nothing may be skipped; without limits it fails.
.PHONY: scenarios-vm
scenarios-vm: python
	$(MACHINE) --backend qemu up
	$(MACHINE) --backend qemu exec --env CI=true $(IN_PROJECT) -- $(PYTEST) \
	  -m 'needs_limits or shows_limits' $(LIMITS) $(PYTEST_ARGS)

.PHONY: escapes
escapes:
	$(MAKE) scenarios SCENARIOS=$(PROJECT)/checks/escapes

# Every step of a launch, not a sample; a thousand launches, not a hundred; races of 45 seconds each.
.PHONY: soak
soak: machine
	$(MACHINE) exec --env PI_AGENT_ALL_STEPS=1 --env PI_AGENT_LAUNCHES=1000 --env PI_AGENT_RACES=45 $(IN_PROJECT) -- $(PYTEST) $(SOAK) $(PYTEST_ARGS)

# ROWS: names of rows, separated by commas. QUICK: not empty for fewer rounds. See docs/performance.md.
ROWS ?=
QUICK ?=
.PHONY: bench
bench: .venv/ready machine
	PYTHONPATH=checks .venv/bin/python -m benchmark --rows='$(ROWS)' $(if $(QUICK),--quick)

.PHONY: clean
clean:
	$(MACHINE) clean
	$(MACHINE) --backend qemu clean
	rm -rf .venv

# A fresh machine may have no Python, or one that cannot create environments.
.PHONY: python
python:
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv; }

.venv/ready: requirements-dev.txt | python
	rm -rf .venv
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
