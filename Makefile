# Everything a person or a machine does with this project. `make help` lists it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP = .venv/bin/python -m pip --disable-pip-version-check --quiet
RUN = .venv/bin/python -m

# ONNX Runtime reports to its maker otherwise: our package says so itself, the peers in the benches do not.
export ORT_DISABLE_TELEMETRY = 1
# Without compiled files pytest rewrites the assertions of every test file in every run: seconds before the first test.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run replicas test test-unit lowest fuzz faults soak conformance demo check lint docs generate format bench quality sbom audit lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/run.stamp  ## set up what is missing and serve on http://127.0.0.1:8080
	@$(RUN) rekognition_emulator

replicas: .venv/run.stamp  ## serve the same with three processes over one database
	@REKOGNITION_PROCESSES=3 $(RUN) rekognition_emulator

test: .venv/dev.stamp  ## set up what is missing and run all tests
	$(RUN) pytest --numprocesses auto --dist loadfile tests/unit tests/inference
	$(RUN) pytest tests/database tests/server tests/faults tests/fuzz

test-unit: .venv/dev.stamp  ## run those tests that need no process, no database and no network, with fewer examples each
	$(RUN) pytest --numprocesses auto --hypothesis-profile quick tests/unit

lowest: .venv-lowest/lowest.stamp  ## run the tests that lean on libraries most with the lowest versions that pyproject.toml allows
	.venv-lowest/bin/python -m pytest --hypothesis-profile quick tests/unit/http tests/server/http $(LOWEST:%=tests/database/storage/test_%.py)

LOWEST = database embedded keys postgres

fuzz: .venv/dev.stamp  ## spoil pictures and requests for MINUTES (5) from SEED (1), and keep what that finds
	$(RUN) tools.fuzz --minutes $(MINUTES) --seed $(SEED)

faults: .venv/dev.stamp  ## kill server and database KILLS (100) times under working clients, and check what is left
	$(RUN) tools.faults --kills $(KILLS) --seed $(SEED)

soak: .venv-bench/bench.stamp  ## let clients work for MINUTES (5), and watch memory and connections
	.venv-bench/bin/python -m tools.faults.soak --minutes $(MINUTES)

KILLS ?= 100
MINUTES ?= 5
SEED ?= 1

conformance: .venv/dev.stamp  ## hold a running server against the conformance suite, with the access key of the environment if there is one
	$(RUN) conformance --endpoint-url http://127.0.0.1:8080

demo: .venv/demo.stamp  ## index an album of generated people and find one of them
	@$(RUN) rekognition_emulator.demo

check: lint docs  ## everything that is proven without running the product
	$(RUN) botocore_models.generate --check
	$(RUN) tools.documentation --check
	$(RUN) tools.third_party --check

lint: .venv/dev.stamp  ## style, types and floors
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	.venv/bin/lint-imports
	.venv/bin/hadolint Dockerfile

docs: .venv/dev.stamp  ## build the documentation as a site, into build/site
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet

generate: .venv/dev.stamp  ## write the types and tables that follow from the service model and the code
	$(RUN) botocore_models.generate
	$(RUN) tools.documentation
	$(RUN) tools.third_party

format: .venv/dev.stamp  ## rewrite the sources in the house's style
	$(RUN) ruff check --fix
	$(RUN) ruff format

bench: .venv-bench/bench.stamp  ## time engine, server and indexes, beside their peers, into benchmarks/results
	.venv-bench/bin/python -m benchmarks
	.venv-bench/bin/python -m benchmarks.index
	.venv-bench/bin/python -m benchmarks.overload

quality: .venv-bench/bench.stamp  ## measure which faces are found and who is recognised, beside DeepFace
	.venv-bench/bin/python -m benchmarks.quality

sbom: .venv/dev.stamp  ## write what the server is made of and built with to sbom.json (CycloneDX)
	.venv/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --output-file sbom.json

audit: .venv/dev.stamp  ## ask the vulnerability database about every locked package (needs the internet)
	.venv/bin/pip-audit --requirement requirements-extras.lock --require-hashes --disable-pip

lock: .venv/dev.stamp  ## resolve the dependencies again, to their newest versions
	$(LOCK) --upgrade --all-extras $(GROUPS:%=--group %) --output-file requirements-bench.lock
	$(LOCK) --constraint requirements-bench.lock --group build --output-file requirements.lock
	$(LOCK) --constraint requirements-bench.lock --group build $(EXTRAS:%=--extra %) --output-file requirements-extras.lock
	$(LOCK) --constraint requirements-bench.lock --extra demo --output-file requirements-demo.lock
	$(LOCK) --constraint requirements-bench.lock --all-extras --group test --group check --output-file requirements-dev.lock

GROUPS = build test check bench
EXTRAS = deepface milvus tracing
LOCK = $(RUN) uv pip compile pyproject.toml --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links

clean:  ## remove the environments and what tools left behind
	rm -rf .venv .venv-bench .venv-lowest .models .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info

.venv/run.stamp: requirements.lock pyproject.toml
	@echo "Setting up .venv from requirements.lock (once, about a minute) …"
	@$(PYTHON) -m venv .venv
	@$(PIP) install --require-hashes -r requirements.lock
	@PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation --editable .
	@$(RUN) rekognition_emulator models pull recommended || true  # without them the embedded models serve
	@touch $@

.venv/demo.stamp: requirements-demo.lock | .venv/run.stamp
	@echo "Adding scikit-image, for the demonstration, from requirements-demo.lock …"
	@$(PIP) install --require-hashes -r requirements-demo.lock
	@touch $@

.venv/dev.stamp: requirements-dev.lock | .venv/run.stamp
	@echo "Adding test and check tools from requirements-dev.lock …"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

.venv-lowest/lowest.stamp: pyproject.toml | .venv/dev.stamp
	@echo "Setting up .venv-lowest with the lowest versions that pyproject.toml allows …"
	@$(PYTHON) -m venv .venv-lowest
	@$(RUN) uv pip compile --quiet --python-version 3.11 --resolution lowest-direct --group core-test --output-file .venv-lowest/lowest.txt pyproject.toml
	@$(RUN) uv pip install --quiet --compile-bytecode --python .venv-lowest/bin/python --requirement .venv-lowest/lowest.txt
	@touch $@

.venv-bench/bench.stamp: requirements-bench.lock
	@echo "Setting up .venv-bench with the engine's peers (TensorFlow among them, some minutes) …"
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-bench.lock
	@touch $@
