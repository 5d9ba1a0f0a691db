# The two commands: `make up` and `make test`. Everything they need, they install.
SHELL := /bin/bash
STAKEYARD := .venv/bin/stakeyard
STACK ?= lab

.PHONY: help
help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

.PHONY: ready
ready: ## Install what is missing: packages, the Python environment.
	@tools/bootstrap.sh

.PHONY: tools
tools: ready ## Find or build pulumi, its Python host and the OpenStack plugin.
	@.venv/bin/python tools/build.py

.PHONY: up
up: ready ## Start the lab cloud and put two verified Bitcoin nodes on it.
	$(STAKEYARD) prepare
	$(STAKEYARD) pulumi --stack $(STACK) up --yes --skip-preview
	$(STAKEYARD) table --stack $(STACK)

.PHONY: down
down: ready ## Take the nodes away and stop the lab cloud.
	$(STAKEYARD) pulumi --stack $(STACK) destroy --yes --skip-preview
	$(STAKEYARD) lab down

.PHONY: lint
lint: ready ## Style and types.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	PATH="$$PWD/.venv/bin:$$PATH" ANSIBLE_HOME=.state/ansible .venv/bin/ansible-lint --offline --strict roles
	.venv/bin/yamllint --strict .
	git ls-files -z '*.sh' .ci/run tests/run stacks/plugin/pulumi-resource-stakeyard stacks/plugin/pulumi-analyzer-policy-stakeyard | xargs -0 shellcheck
	tools/actionlint.sh docs/ci/github/*.yml
	.venv/bin/python -m stacks.schema --check

.PHONY: unit
unit: ready ## Tests that need neither root nor a cloud.
	.venv/bin/pytest -n 2 tests/unit

.PHONY: fast
fast: lint unit ## Lint and unit tests: about two minutes.

.PHONY: test
test: ready ## All but the long tests: fast ones, previews, roles on a host, the lab cloud.
	tests/run

.PHONY: test-kill
test-kill: ready ## Kill `pulumi up` at all twelve moments (long; `make test` does three of them).
	$(STAKEYARD) prepare
	.venv/bin/pytest -s tests/lab/test_scenario.py --all-moments

.PHONY: test-previews
test-previews: ready ## Preview all ten pull requests with the lab cloud asked (no part of `make test`).
	$(STAKEYARD) prepare
	.venv/bin/pytest -s tests/lab/test_scenario.py --all-pull-requests

.PHONY: test-drills
test-drills: ready ## Every disaster of the validators on the lab cloud (long; no part of `make test`).
	$(STAKEYARD) prepare bitcoin ethereum_execution ethereum_beacon ethereum_validator
	.venv/bin/pytest -x -s tests/lab/test_validators.py --all-drills

.PHONY: bench
bench: ready ## Measure and print the table of docs/figures.md.
	.venv/bin/python -m tests.bench

.PHONY: clean
clean: ## Remove this checkout's .venv and the caches of linters and tests (not .state, not ~/.cache/stakeyard, not the lab).
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
