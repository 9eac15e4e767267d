# The two commands of the README, and what they need. Everything lives in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: agreement demo test check native asan refcheck bench soak kills flames joins lateness scrapes arrival docs oom picture env clean

demo: env
	@$(BIN)/looptop demo

test: env check
	$(BIN)/python -m pytest -n 3 --dist loadfile --max-worker-restart 2

check: env native
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The hooks in C where a warning is an error: not so for users, whose compiler may know new ones.
native: env
	@LOOPTOP_STRICT=1 $(BIN)/python setup.py -q build_ext --force --build-temp build/strict --build-lib build/strict

# The hooks in C on builds that check themselves: memory, and references.
asan: env
	PYTHON=$(BIN)/python tests/checked.sh asan

refcheck: env
	PYTHON=$(BIN)/python tests/checked.sh references

bench: env
	$(BIN)/python -m benchmarks

# Ends a server under load 180 times, in five ways, and reads its black box.
kills: env
	$(BIN)/python tests/e2e/kill_server.py

# Shares that programs plant, on every Python, loop and load; the memory of an hour of distinct stacks.
flames: env
	$(BIN)/python tests/e2e/flame_hour.py memory
	$(BIN)/python tests/e2e/flame_hour.py shares

# Rates and percentiles of groups beside what wrk measured, for uvicorn and aiohttp.
agreement: env
	$(BIN)/python tests/e2e/groups_agree.py

# Ten minutes with a probe that remembers and nobody connected: nothing grows.
soak: env
	$(BIN)/python -m benchmarks.soak

# 1,000 late requests on each Python and loop: is the right line named, and do the parts sum up.
lateness: env
	$(BIN)/python tests/e2e/late_requests_judge.py

# Scrapes metrics a thousand times while workers of uvicorn are killed.
scrapes: env
	$(BIN)/python tests/e2e/scrape_workers.py

# Worst delay of a timer in a program for each of ten arrivals of a viewer.
arrival: env
	$(BIN)/python -m benchmarks.arrival

# 200 workers come and go: slots and events are right, and the viewer does not grow.
joins: env
	$(BIN)/python tests/e2e/service_ends.py joins

# The kernel's OOM killer ends a worker: the event says so and names the black box. As root.
oom: env
	$(BIN)/python tests/e2e/service_ends.py oom

docs: env
	$(BIN)/python docs/generate.py

picture: env
	$(BIN)/python docs/picture.py

# Files may be older than what was built of others (a copied environment): what counts is what the C file was built of.
env: $(VENV)/.made
	@$(BIN)/python -c 'from probes.hooks.backend import STALE, why_pure; raise SystemExit(why_pure == STALE)' || \
		$(BIN)/python setup.py -q build_ext --inplace --force

$(VENV)/.made: pyproject.toml setup.py $(wildcard probes/hooks/native/*)
	@$(PYTHON) -c 'import sys; sys.exit("looptop needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "making the environment in $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' >&2
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
