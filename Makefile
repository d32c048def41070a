# Everything a person does with this tree; `make` alone lists it.
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
export SANDBOX ?=

.DEFAULT_GOAL := help
.PHONY: help demo test tools check sandbox bot smoke bench charts-report lock clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: requirements.lock setup.cfg pyproject.toml sandbox/build/venv.sh
	@sh sandbox/build/venv.sh $(VENV)
	@touch $@

demo: $(VENV)/.ready  ## the main job on real servers, told as a story; ends by itself
	$(PY) -m sandbox.story.demo

test: tools check  ## everything: check, then the whole suite against the real servers
	$(PY) -m pytest tests -m packages
	$(PY) -m pytest tests -m sandbox

tools: $(VENV)/.ready  ## fetch and build what the sandbox needs (the first time some minutes; it says how many)
	$(PY) -m sandbox.build.tools

check: $(VENV)/.ready  ## lint, types, house, unit, bot, contracts; about two minutes
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest tests -m "not sandbox and not packages" -n 4 --dist loadfile

sandbox: $(VENV)/.ready  ## start the real servers and stay until Ctrl-C
	$(PY) -m sandbox

bot: $(VENV)/.ready  ## join a running sandbox with the bot and stay
	$(PY) -m sandbox.bot.run

smoke: $(VENV)/.ready  ## one deployment by hand in the sandbox, without any bot
	$(PY) -m sandbox.story.smoke

bench: $(VENV)/.ready  ## figures of the hot paths, beside a peer in the same run
	$(PY) -m bench

charts-report: $(VENV)/.ready  ## CHARTS=DIR: what a bump of each service there would do
	@$(PY) -m quarterdeck.cli.charts_report $(CHARTS)

lock:  ## make requirements.lock anew, with Debian's own Python
	@sh sandbox/build/lock.sh

clean:  ## remove what builds and runs left here; running sandboxes of this tree are ended (the cache of tools stays)
	-python3 -m sandbox clean
	rm -rf $(VENV) build sandbox/run .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
