# What can be done from a checkout; `make help` lists it. Each target sets up .venv first if that has not been done.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGE := $(VENV)/.package
INSTALLED := $(VENV)/.installed
NEW_ENOUGH := import sys; assert sys.version_info >= (3, 11)

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-docs test-all docs lint bench bench-all bench-compare readme clean

help: ## This list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "make PYTHON=python3.12 TARGET uses another interpreter (3.11 or newer) for .venv."

# Cells run side by side with one thread each: on a busy machine a second thread waits at OpenMP's barriers for a core,
# and a step can take a hundred times as long.
demo test test-slow test-docs test-all bench bench-all: export OMP_NUM_THREADS := 1

# Exit code 3 says that some cells failed. The report shows them, so it is made all the same, and make fails after it.
demo: $(PACKAGE) ## Run the quick suite on the CPU into runs/quick, and write its report into runs/quick/report.
	@code=0; $(BIN)/graftbench run quick --out runs/quick --jobs 2 || code=$$?; \
	if [ $$code -ne 0 ] && [ $$code -ne 3 ]; then exit $$code; fi; \
	$(BIN)/graftbench report runs/quick && exit $$code

# Two at a time, files whole: many tests wait for processes that they start, and a file's tests share what is costly. In
# the folders' order: xdist's own begins with the files of many tests, and ends with one process waiting for a long file.
test: $(INSTALLED) ## Run the tests of less than about a second each: those not marked slow, long or docs.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED) ## Run the tests marked slow: a quarter of an hour.
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'slow and not docs'

# A page's blocks need one another: a page is one test. The site is built once, for the tests of its group.
test-docs: $(INSTALLED) ## Run every command and code block of the documentation, and check the links of the site.
	$(BIN)/python -m pytest tests/docs -n 2 --dist loadgroup -m docs

docs: export NO_MKDOCS_2_WARNING := 1
docs: $(INSTALLED) ## Build the documentation into build/site; a warning is an error.
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html"

test-all: $(INSTALLED) ## Run all tests.
	$(BIN)/python -m pytest -n 2 --dist loadfile -m ''

lint: $(INSTALLED) ## Check rules, format, types and who imports whom.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-cache --no-logo

# Times of two days do not compare; ratios to peers that were timed in the same run do. Each run is stored in .benchmarks.
BENCH := $(BIN)/python -m pytest tests/benchmarks -m '' --benchmark-columns=median,iqr,rounds \
	--benchmark-autosave --benchmark-save-data

bench: $(INSTALLED) ## Time the code itself beside its peers (pytest-benchmark), and store the times.
	$(BENCH) -k 'not 2048 and not 5000 and not 10000 and not ten_thousand'

bench-all: $(INSTALLED) ## The same with larger inputs: half an hour or more.
	$(BENCH)

bench-compare: $(INSTALLED) ## Compare the last two stored runs (or OLD=FILE NEW=FILE) by their ratios to the peers.
	$(BIN)/python tests/benchmarks/ratios.py $(OLD) $(NEW)

readme: $(INSTALLED) ## Write the generated parts of README.md and docs/, its figures and the pictures of the page.
	$(BIN)/python docs/site/readme.py
	$(BIN)/python docs/screenshots.py

clean: ## Remove .venv, build outputs, the caches of Python and the tools, and runs/quick. Other runs stay.
	rm -rf $(VENV) build dist bench/graftbench.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis .benchmarks .coverage runs/quick
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The package alone, which is all that the demo needs. Installed again when one of these files changes; a .venv without a
# working interpreter and pip is made anew.
$(PACKAGE): pyproject.toml constraints.txt
	@$(BIN)/python -c '$(NEW_ENOUGH); import pip' 2>/dev/null || { \
		$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
			echo "graftbench needs Python 3.11 or newer; '$(PYTHON)' says: $$($(PYTHON) --version 2>&1 | head -n 1)." \
				"Name another: make PYTHON=python3.12 ..." >&2; exit 1; }; \
		$(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing graftbench and what it needs into $(VENV): about 6 GB, some minutes the first time."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

# What tests, documentation and checks need besides.
$(INSTALLED): $(PACKAGE)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
