# Two commands do everything: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := operator tools tests bench fuzz
export PYTHONPATH := tools

.PHONY: help run test check cover mutants format bench fuzz lock root clean

help:
	@echo "make run     the main job on real parts: push, sign, apply, watch it become Ready (ONCE=1 ends after it)"
	@echo "make test    all tests, with the real parts they need"
	@echo "make check   the quick gate: format, lint, types, layers, fast tests"
	@echo "make cover   the unit tests of the trust room and of the domain: every branch, or it fails"
	@echo "make mutants changes the code of the trust room, one thing at a time, and tells what no test notices (an hour)"
	@echo "make bench   the scenarios and the cost of a verdict: bench/README.md"
	@echo "make fuzz    feeds the trust room what no signer would write, for FUZZ_SECONDS (60)"
	@echo "make format  puts the code into its format"
	@echo "make tables  the tables of docs/signatures.md, from the tests"
	@echo "make lock    resolves the dependencies anew into requirements/"
	@echo "make root    takes the shipped trusted root anew from the locked sigstore package"

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) --version): make PYTHON=python3.11 …"; exit 1; }
	@echo "installing the dependencies into $(VENV) (once)…"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

run: $(READY)
	@$(BIN)/python -m devkit.demo $(if $(ONCE),--once)

test: $(READY) check-code cover
	@$(BIN)/pytest --durations=10 $(addprefix --ignore=,$(COVERED))

check: $(READY) check-code
	@$(BIN)/pytest --quiet -n auto --dist loadfile tests/unit tests/flow tests/property

# What decides whom to trust and what to do is covered in every branch, by its own unit tests alone.
COVERED := tests/unit/trust tests/unit/domain
cover: $(READY)
	@$(BIN)/coverage run -m pytest --quiet $(COVERED)
	@$(BIN)/coverage report

# MODULES="keyless notation/jws" limits it. The tests' dependencies and the tool have a place of their own.
MUTANTS := $(VENV)/mutants
mutants: $(MUTANTS)/.ready
	@nice $(MUTANTS)/bin/python -m devkit.mutants $(MODULES)

$(MUTANTS)/.ready: requirements/mutation.txt $(READY)
	@$(PYTHON) -m venv $(MUTANTS)
	@$(MUTANTS)/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/dev.txt -r requirements/mutation.txt
	@touch $@

.PHONY: check-code
check-code: $(READY)
	@$(BIN)/ruff format --check --quiet $(CODE) || { echo "run 'make format'"; exit 1; }
	@$(BIN)/ruff check --quiet $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > $(VENV)/layers.txt || { cat $(VENV)/layers.txt; exit 1; }

format: $(READY)
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

bench: $(READY)
	@$(BIN)/python bench/scenarios.py
	@$(BIN)/python bench/verdicts.py

tables: $(READY)
	@$(BIN)/python tests/unit/trust/test_table.py

FUZZ_SECONDS ?= 60
fuzz: $(READY)
	@$(BIN)/python fuzz/run.py --seconds $(FUZZ_SECONDS)

# Names no package host; needs uv.
lock:
	uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 pyproject.toml -o requirements/operator.txt
	uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 pyproject.toml --extra aws --extra azure --extra gcp -o requirements/clouds.txt
	uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 pyproject.toml --all-extras --group dev -o requirements/dev.txt
	echo 'cosmic-ray>=8.4' | uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 -c requirements/dev.txt - -o requirements/mutation.txt
	echo 'hatchling>=1.27' | uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 -c requirements/dev.txt - -o requirements/build.txt

root: $(READY)
	@$(BIN)/python -m devkit.shippedroot

clean:
	rm -rf $(VENV) .run dist
