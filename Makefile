# The commands of a developer's day. Each installs what it lacks, on Debian or Ubuntu, as root.

MACHINE := checks/machine
# Where the machine sees this project, read-only.
PROJECT := /opt/pi-agent
PROGRAMS := checks/machine checks/eval/run checks/guest/activate checks/guest/enter checks/guest/model-server \
  checks/guest/vm/usr/local/lib/pi-agent-checks/follow \
  $(wildcard checks/demo runner.py wrapper.py)
SOURCES := $(PROGRAMS) checks/guest/probe.py checks/guest/skips_fail.py $(wildcard checks/benchmark checks/eval checks/harness checks/support checks/scenarios checks/escapes pi_agent tests)
# Reasons for skips are always shown. In CI a skipped scenario is a failed one: see checks/scenarios.
SCENARIOS ?= $(PROJECT)/checks/scenarios
# Those that `make scenarios-vm` chooses from, by their marks.
LIMITS := $(addprefix $(PROJECT)/checks/,scenarios escapes)
# Those that `make soak` has run at full length.
SOAK := $(addprefix $(PROJECT)/checks/scenarios/,test_load.py test_faults_steps.py test_faults_parts.py test_races.py)
PYTEST_ARGS ?=
IN_PROJECT := --env PYTHONPATH=$(PROJECT)/checks/guest --cwd $(PROJECT)
PYTEST := python3 -B -m pytest -ra -p no:cacheprovider -p skips_fail

.NOTPARALLEL:

.PHONY: help
help:
	@echo 'make test       everything below that checks something'
	@echo 'make demo       the main job, shown in a machine'
	@echo 'make shell      a shell of alice in the machine'
	@echo 'make lint       ruff, mypy, import-linter, nixfmt'
	@echo 'make unit       the tests of the Python: no root, no network'
	@echo 'make fuzz       every parser, with inputs that fuzzing finds: SECONDS=60 each'
	@echo 'make eval       the checks of the module, by Nix in the machine'
	@echo 'make scenarios  the tests of the whole, in the machine'
	@echo 'make scenarios-vm  those that need a kernel of their own, in a virtual machine'
	@echo 'make escapes    attempts to escape from the sandbox, in the machine'
	@echo 'make soak       the scenarios of load, faults and races at full length: an hour'
	@echo 'make bench      how fast it is, beside what people would use instead: a quarter of an hour'
	@echo 'make docs       docs/options.md from the module, and the tables of messages in README.md'
	@echo 'make machine    the machine, up and as this checkout says'
	@echo 'make clean      no machines, no .venv'

.PHONY: test
test: lint unit eval scenarios escapes demo scenarios-vm

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

# Seconds for each target; what was learned stays in .fuzz for the next time.
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

.PHONY: scenarios
scenarios: machine
	$(MACHINE) exec $(if $(CI),--env CI=$(CI)) \
	  $(IN_PROJECT) -- $(PYTEST) $(SCENARIOS) $(PYTEST_ARGS)

# What a container cannot show: limits that the kernel enforces. Nothing may be skipped, and it fails where there are none.
.PHONY: scenarios-vm
scenarios-vm: python
	$(MACHINE) --backend qemu up
	$(MACHINE) --backend qemu exec --env CI=true $(IN_PROJECT) -- $(PYTEST) \
	  -m 'needs_limits or shows_limits' $(LIMITS) $(PYTEST_ARGS)

.PHONY: escapes
escapes:
	$(MAKE) scenarios SCENARIOS=$(PROJECT)/checks/escapes

# Every step of a launch instead of a sample, a thousand launches instead of a hundred, races of 45 seconds each.
.PHONY: soak
soak: machine
	$(MACHINE) exec --env PI_AGENT_ALL_STEPS=1 --env PI_AGENT_LAUNCHES=1000 --env PI_AGENT_RACES=45 $(IN_PROJECT) -- $(PYTEST) $(SOAK) $(PYTEST_ARGS)

# ROWS: names of rows, with commas between. QUICK: not empty for fewer rounds. See docs/performance.md.
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

# A fresh machine may have no Python, or one that cannot make environments.
.PHONY: python
python:
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3 python3-venv; }

.venv/ready: requirements-dev.txt | python
	rm -rf .venv
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@
