# Datastream. `make` or `make help` lists what there is.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.SHELLFLAGS := -euc

# Empty: the one that was named last, else python3.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := shared services/producer services/lake_consumer services/clean_consumer deploy/operator \
    deploy/playground
# A log_format directive is full of $ and quotes, as are other values that a person types: they go
# through the environment, as they are.
define as_it_is
ifdef $(1)
override $(1) := $$(value $(1))
export $(1)
endif
endef
$(foreach name,FORMAT FOLDER FROM LOG OUTPUT SQL TO,$(eval $(call as_it_is,$(name))))
# $(call until_interrupted,COMMAND): Ctrl-C ends it, and is no failure for make to tell of.
until_interrupted = trap : INT; $(1) || { code=$$?; [ $$code = 130 ] || exit $$code; }
# The rows of the fault matrix in which the broker or the database takes part.
SERVER_FAULTS := $(patsubst %,tests/faults/test_%.py,broker conflict database killed outages poison)
# What a person types at servers of their own, whose grants MySQL and MariaDB take differently.
TYPED := tests/integration/test_accounts.py tests/integration/test_install_consumers.py
# Processes that share the tests, each with private servers of its own. 0: one process, for a
# debugger.
WORKERS ?= 2
WORKING = --numprocesses '$(WORKERS)' --dist worksteal
# The tool that makes mutants, beside the environment: nothing else needs it.
MUTANTS := .run/mutants
SOURCES := $(addsuffix /src,$(PACKAGES)) deploy/grafana docs tests

##@ Use it

.PHONY: demo
demo: venv ## A log through real servers into real tables; a report | [LOG=access.log] [FORMAT=auto] [LINES=100000]
	@$(BIN)/datastream demo $(if $(value LOG),--log "$$LOG") $(if $(FORMAT),--format "$$FORMAT") $(if $(filter command line,$(origin LINES)),--lines '$(LINES)')

.PHONY: follow
follow: venv ## The same, and follow the log with a live view | LOG=access.log [FORMAT=auto]
	@$(if $(value LOG),,echo 'say which log: make follow LOG=/var/log/nginx/access.log' >&2; exit 2;) \
	$(call until_interrupted,$(BIN)/datastream follow --log "$$LOG" $(if $(FORMAT),--format "$$FORMAT"))

.PHONY: sample
sample: venv ## Write a sample log and the truth beside it | OUTPUT=sample.log [LINES=100000] [FORMAT=combined]
	@$(BIN)/datastream sample --output "$${OUTPUT:-sample.log}" --lines '$(if $(filter command line,$(origin LINES)),$(LINES),100000)' --format "$${FORMAT:-combined}"

.PHONY: sql
sql: venv ## A shell on the tables of demo and follow | [SQL='SELECT …'] [FOLDER=.run/demo]
	@$(BIN)/datastream sql --folder "$${FOLDER:-.run/demo}" $(if $(value SQL),-- "$$SQL")

##@ Run it in containers

.PHONY: deploy
deploy: ## Bring everything up with Docker, or up to date | LOG=/var/log/nginx/access.log, or DEMO=1; [SMALL=1]
	@deploy/bin/deploy

.PHONY: scale
scale: ## Run N clean consumers, while everything flows | N=4
	@deploy/bin/scale

.PHONY: status
status: ## What runs, rates, lag and queues, in one screen
	@deploy/bin/status

.PHONY: logs
logs: ## The services' logs | [SERVICE=producer] [FOLLOW=no]
	@$(call until_interrupted,deploy/bin/logs)

.PHONY: alert-test
alert-test: ## Send one alert to ALERT_WEBHOOK; was it taken?
	@deploy/bin/alert-test

.PHONY: mysql
mysql: ## A shell on the tables, as the account that only reads
	@deploy/bin/mysql

.PHONY: migrate
migrate: ## Only accounts, tables and grants
	@deploy/bin/migrate

.PHONY: backup
backup: ## Copy rows, queues, checkpoint and passwords | TO=/srv/backups
	@deploy/bin/backup

.PHONY: restore
restore: ## Bring a deployment back from such a copy | FROM=/srv/backups/…
	@deploy/bin/restore

.PHONY: down
down: ## Stop; rows, queues and the checkpoint are kept
	@deploy/bin/down

.PHONY: destroy
destroy: ## Remove everything, rows too; asks first | [YES=1]
	@deploy/bin/destroy

##@ Run it without Docker, as systemd services; as root

# One after the other, with --jobs too: consumers first, which know what a newer producer sends.
.PHONY: install
install: ## Producer and consumers on one host
	@deploy/bin/units install consumers
	@deploy/bin/units install producer

.PHONY: install-producer
install-producer: ## Install or update it, on the web server's host | [LOG_GROUP=adm]
	@deploy/bin/units install producer

.PHONY: install-consumers
install-consumers: ## Install or update the consumers and migrations
	@deploy/bin/units install consumers

.PHONY: rollback-producer
rollback-producer: ## Go back to what the last update replaced
	@deploy/bin/units rollback producer

.PHONY: rollback-consumers
rollback-consumers: ## The same for the consumers
	@deploy/bin/units rollback consumers

.PHONY: uninstall-producer
uninstall-producer: ## Remove it; settings and checkpoint stay | [PURGE=1]
	@deploy/bin/units uninstall producer

.PHONY: uninstall-consumers
uninstall-consumers: ## Remove them; settings stay | [PURGE=1]
	@deploy/bin/units uninstall consumers

##@ Work on it

.PHONY: venv
venv: ## Make .venv, with the command datastream | [PYTHON=python3.12]
	@deploy/operator/make-venv '$(PYTHON)' $(VENV)

.PHONY: test
test: venv ## Run every test, on private servers of its own | [TESTS=tests/unit] [WORKERS=2]
	@$(if $(TESTS),,THOROUGH=1) $(BIN)/pytest $(WORKING) $(or $(TESTS),tests/unit tests/contract tests/integration)

.PHONY: test-faults
test-faults: venv ## Make everything fail; compare every line | [TESTS=tests/faults] [SERVERS=containers]
	@$(BIN)/pytest $(if $(SERVERS),--servers '$(SERVERS)',$(WORKING)) \
	    $(or $(TESTS),$(if $(filter containers,$(SERVERS)),$(SERVER_FAULTS) $(TYPED),tests/faults))

.PHONY: soak
soak: venv ## Kill random parts 100 times; 20 minutes | [SEED=1]
	@SOAK_SEED='$(or $(SEED),1)' $(BIN)/pytest tests/faults/soak.py

.PHONY: soak-short
soak-short: venv ## The same in three minutes | [SEED=1]
	@SOAK_ROUNDS=25 SOAK_LINES=250000 SOAK_OUTAGE=10 SOAK_SEED='$(or $(SEED),1)' $(BIN)/pytest tests/faults/soak.py

.PHONY: sabotage
sabotage: venv ## Break a copy of the code; see which test turns red
	@$(BIN)/python tests/faults/sabotage.py

.PHONY: mutants
mutants: venv $(MUTANTS)/made ## Change the code bit by bit; see what no test notices | [MODULE=path]
	@PYTHONPATH=tests:$(MUTANTS) $(BIN)/python -m mutants $(MODULE)

$(MUTANTS)/made: tests/mutants/requirements.lock | venv
	@rm -rf $(MUTANTS)
	@$(BIN)/python -m pip --disable-pip-version-check --no-input --quiet install --require-hashes \
	    --target $(MUTANTS) -r tests/mutants/requirements.lock
	@touch $@

# They have a stand-in for docker, or ask Compose alone: any number of them at once.
NO_ENGINE = tests/deploy/test_words.py tests/deploy/test_env_file.py

.PHONY: test-deploy
test-deploy: venv ## Test the containers; starts an engine if needed | [TESTS=tests/deploy]
	@$(if $(TESTS),,$(BIN)/pytest $(WORKING) $(NO_ENGINE))
	@$(BIN)/pytest $(or $(TESTS),tests/deploy $(addprefix --ignore=,$(NO_ENGINE)))

.PHONY: test-boards
test-boards: venv ## Draw the boards in a browser: .run/pictures
	@$(BIN)/pytest tests/drawing

.PHONY: pictures
pictures: venv ## Take the README's pictures of a demo in containers | [MINUTES=10]
	@PYTHONPATH=tests:deploy/grafana MINUTES='$(or $(MINUTES),10)' $(BIN)/python -m deploy.pictures

.PHONY: bench
bench: venv ## Measure it against this machine's own limit | [DB=mysql] [AGAINST=main]
	@PYTHONPATH=tests $(BIN)/python -m bench --db '$(or $(DB),mariadb)' $(if $(AGAINST),--against '$(AGAINST)')

.PHONY: bench-full
bench-full: venv ## The same and every scenario; an hour | [DB=mysql] [AGAINST=main]
	@PYTHONPATH=tests $(BIN)/python -m bench --db '$(or $(DB),mariadb)' --full $(if $(AGAINST),--against '$(AGAINST)')

.PHONY: bench-parse
bench-parse: venv ## Measure parsing, for every preset and custom formats
	@PYTHONPATH=tests $(BIN)/python tests/bench/parse.py

.PHONY: bench-profile
bench-profile: venv ## What each part of a line's way costs | [DB=mysql]
	@PYTHONPATH=tests $(BIN)/python -m bench.profile --db '$(or $(DB),mariadb)'

.PHONY: bench-deploy
bench-deploy: venv ## Deploy and status beside a bare docker run
	@PYTHONPATH=tests $(BIN)/python -m bench.deploying

.PHONY: bench-guard
bench-guard: venv ## Fail when a line costs over 10 % more than before | [RENEW=1]
	@PYTHONPATH=tests $(BIN)/python -m bench.guard $(if $(RENEW),--renew)

.PHONY: check
check: venv ## Lint, types, import contracts
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python deploy/grafana/render.py --check

.PHONY: format
format: venv ## Format the code
	@$(BIN)/ruff check --fix --select I $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

.PHONY: boards
boards: venv ## Render Grafana's boards from their code
	@$(BIN)/python deploy/grafana/render.py

.PHONY: commands
commands: venv ## Write docs/commands.md and docs/man from --help
	@$(BIN)/python docs/render_commands.py
	@$(BIN)/python docs/render_man.py

.PHONY: release
release: venv ## Build, try and tag this version; pushes nothing | [IMAGES=no]
	@deploy/bin/release $(BIN)/python

.PHONY: lock
lock: venv ## Renew the locked requirements, of images and for work
	@for package in $(filter-out shared deploy/playground,$(PACKAGES)); do \
	    echo "locking $$package"; \
	    $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	        --no-header --no-annotate --no-emit-package datastream --no-emit-package datastream-operator \
	        "$$package/pyproject.toml" --output-file "$$package/requirements.lock"; \
	done
	@echo 'locking requirements-dev'
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate --no-emit-package datastream --no-emit-package datastream-operator \
	    services/producer/pyproject.toml services/clean_consumer/pyproject.toml \
	    deploy/operator/pyproject.toml deploy/playground/pyproject.toml requirements-dev.in \
	    --output-file requirements-dev.lock
	@echo 'locking tests/mutants'
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate --constraint requirements-dev.lock \
	    tests/mutants/requirements.in --output-file tests/mutants/requirements.lock

.PHONY: clean
clean: ## Remove the environment and what demo and tests left
	@rm -rf $(VENV) .run .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
	    /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	    /^[a-z-]+:.*## / { \
	        options = index($$2, " | "); \
	        words = options ? substr($$2, 1, options - 1) : $$2; \
	        line = sprintf("  make %-19s %s", $$1, words); \
	        rest = options ? substr($$2, options + 3) : ""; \
	        if (rest && length(line " " rest) > 80) line = line "\n" sprintf("%26s", ""); \
	        print line (rest ? " " rest : "") \
	    }' $(MAKEFILE_LIST)
