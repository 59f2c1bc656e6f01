# Needs make and Python 3.11 or newer; everything else goes into .venv. `make help` lists the targets.
# The scripts inside a virtual environment break when its path has a space: only `.venv/bin/python -m` is used.

PYTHON ?= python3
PY := .venv/bin/python
RUNTIME := .venv/.installed-runtime
DEV := .venv/.installed-dev

# Tools import the settings but talk to no server.
TOOLS := SECRET_KEY=only-for-tools DATABASE_URL=postgresql://nobody@127.0.0.1:1/none REDIS_URL=redis://127.0.0.1:1/0 \
	RUNYARD_HOME=/nonexistent
SCHEMA := docs/reference/openapi.yaml
JS := tests/contract/javascript

.DEFAULT_GOAL := help
.PHONY: help up langgraph demo test test-contract test-browser test-races test-revoke test-crashes test-rabbitmq test-streams \
	bench bench-side-by-side bench-streams bench-latency bench-console bench-budget bench-growth pictures format lint types \
	imports migrations deploy-check schema schema-check \
	check clean

help: ## show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

up: $(RUNTIME) ## start everything on this machine; Ctrl-C stops it (PORT, FLOWER_PORT, WORKERS, WORKER_POOL, ...)
	@$(PY) -m project.local.up

langgraph: $(RUNTIME) ## what executes a LangGraph project, and what the project needs (REQUIREMENTS=its requirements.txt)
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-langgraph.txt \
		$(addprefix -r ,$(REQUIREMENTS))

demo: $(DEV) ## a tour with langgraph-sdk over a document (FILE=..., default the README)
	@$(PY) -m examples.demo

test: $(DEV) ## the everyday suite, with engines of its own
	@$(PY) -m pytest $(ARGS)

test-contract: $(DEV) $(JS)/node_modules/.installed ## the official clients, in Python and in JavaScript (needs Node.js)
	@$(PY) -m pytest --timeout=300 tests/contract/test_python_*.py $(JS) $(ARGS)

test-browser: $(DEV) ## the console, the playground and other origins, in a headless Chromium (CHROMIUM=..., default the one on PATH)
	@$(PY) -m pytest --timeout=300 tests/browser $(ARGS)

test-races: $(DEV) ## every round of the races
	@RUNYARD_TEST_SCALE=1 $(PY) -m pytest --timeout=900 tests/races $(ARGS)

test-revoke: $(DEV) ## every cell and every round of the revocations
	@RUNYARD_TEST_SCALE=1 $(PY) -m pytest --timeout=900 tests/revoke $(ARGS)

test-crashes: $(DEV) ## kill everything that can be killed, every round
	@RUNYARD_TEST_SCALE=1 $(PY) -m pytest --timeout=900 tests/crashes $(ARGS)

test-rabbitmq: $(DEV) ## RabbitMQ as the broker; needs it installed (RABBITMQ_SERVER=..., default where packages put it)
	@$(PY) -m pytest tests/rabbitmq $(ARGS)

test-streams: $(DEV) ## every round of the live streams
	@RUNYARD_TEST_SCALE=1 $(PY) -m pytest --timeout=900 tests/streaming $(ARGS)

bench: $(DEV) ## Runyard beside the others, growth and budget: one report, about an hour (ARGS="--trial"); see bench/README.md
	@$(PY) -m bench.compare $(ARGS)

bench-side-by-side: $(DEV) ## every difference between LangGraph's own server and this one that the docs do not explain
	@$(PY) -m bench.side_by_side $(ARGS)

bench-streams: $(DEV) ## what idle streams cost (ARGS="--streams 1000 --json"); see bench/README.md
	@$(PY) -m bench.idle_streams $(ARGS)

bench-latency: $(DEV) ## how long create, start, wait and cancel take (ARGS="--count 100 --json")
	@$(PY) -m bench.latency $(ARGS)

bench-console: $(DEV) ## how long the console's pages take with 1,000,000 runs (ARGS="--runs 10000 --events 50000")
	@$(PY) -m bench.console $(ARGS)

bench-budget: $(DEV) ## what one run costs: statements, Redis commands, processor, WAL (ARGS="--count 300 --graph")
	@$(PY) -m bench.budget $(ARGS)

bench-growth: $(DEV) ## plans, pages and time of every operation beside 10,000 to 5,000,000 runs (ARGS="--home DIRECTORY", 20 GB)
	@$(PY) -m bench.growth $(ARGS)

pictures: $(DEV) ## make docs/console-*.png anew, in a headless Chromium (ARGS="another/directory")
	@$(PY) -m tests.browser.pictures $(ARGS)

format: $(DEV) ## rewrite the code in the house style
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

lint: $(DEV) ## style and likely mistakes
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .

types: $(DEV) ## mypy, strict
	@$(TOOLS) $(PY) -m mypy

imports: $(DEV) ## the layers of the code
	@PYTHONPATH=. $(PY) -c 'import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())'

migrations: $(DEV) ## fail if a model has changed without a migration
	@$(TOOLS) $(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

deploy-check: $(DEV) ## Django's checks for a deployment behind HTTPS
	@$(TOOLS) SECRET_KEY=$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(64))') BEHIND_HTTPS=1 \
		ALLOWED_HOSTS=runyard.example $(PY) manage.py check --deploy --fail-level WARNING

schema: $(DEV) ## write the OpenAPI schema
	@$(TOOLS) $(PY) manage.py spectacular --validate --fail-on-warn --file $(SCHEMA)

schema-check: $(DEV) ## fail if the committed OpenAPI schema is not the present one
	@$(TOOLS) $(PY) manage.py spectacular --validate --fail-on-warn --file .venv/openapi.yaml
	@diff -u $(SCHEMA) .venv/openapi.yaml || { echo "$(SCHEMA) is out of date: make schema" >&2; exit 1; }

check: lint types imports migrations deploy-check schema-check ## everything that needs no server

clean: ## remove caches and .venv; the data in .runyard stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Runyard needs Python 3.11 or newer; this is $$($(PYTHON) --version 2>/dev/null || echo "no program that starts: $(PYTHON)"). Try PYTHON=python3.11 make" >&2; exit 1; }
	@echo "creating .venv"
	@$(PYTHON) -m venv .venv || { echo "Python cannot create .venv; on Debian: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(RUNTIME): .venv/.created requirements.txt
	@echo "installing what Runyard needs into .venv"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.txt
	@echo "installing what its tests and tools need into .venv"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(JS)/node_modules/.installed: $(JS)/package.json $(JS)/package-lock.json
	@command -v npm >/dev/null || { echo "The JavaScript client needs Node.js 20.19 or newer with npm" >&2; exit 1; }
	@echo "installing LangGraph's JavaScript client into $(JS)/node_modules"
	@cd $(JS) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@
