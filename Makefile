# `make help` lists the targets. Recipes need bash, cargo (Rust 1.95), go and root only where said so.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The steps of `test` are in order: the cheap ones first.
.NOTPARALLEL:

# One target folder, one profile, one set of flags for everything: dependencies are built once, and what
# is tested is what is shipped. The binaries are static, because the image has nothing but the binary.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export RUSTFLAGS ?= -C target-feature=+crt-static
ifndef CARGO_BUILD_TARGET
CARGO_BUILD_TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
endif
export CARGO_BUILD_TARGET
BIN := $(CARGO_TARGET_DIR)/$(CARGO_BUILD_TARGET)/release

# All steps count from the same second.
ifndef HALDANE_STARTED
HALDANE_STARTED := $(shell date +%s)
endif
export HALDANE_STARTED
# How long each step of this run took.
export HALDANE_TIMES := $(CARGO_TARGET_DIR)/times-$(HALDANE_STARTED)
STEP := tests/step

VERSION := $(shell sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)

.PHONY: help
help: ## list all targets
	@printf 'usage: make TARGET\n\n'
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: demo
demo: setup ## the whole story, live: a real cluster, a good release, a bad one, no lost request (root)
	@examples/demo/run

.PHONY: demo-down
demo-down: ## remove the demo and its cluster (root)
	@examples/demo/down

.PHONY: test
test: setup fmt-check mutants-check clippy unit model docs-check dashboard-check deny shellcheck chart e2e ## everything that CI runs (root)
	@$(STEP) --done "all tests passed"

.PHONY: setup
setup: ## check the tools, install what Debian has (root)
	@$(STEP) "prerequisites" tests/setup

.PHONY: build
build: ## build the binary and the tools of the tests
	@$(STEP) "build" cargo build --release --bins --examples

.PHONY: plugin
plugin: ## build the plugin kubectl-canary, and say where it is
	@$(STEP) "plugin" cargo build --release --bin kubectl-canary
	@printf 'put it on your PATH, e.g.: install %s /usr/local/bin/\n' $(BIN)/kubectl-canary

.PHONY: fmt
fmt: ## format the code
	@$(STEP) "format" cargo fmt

.PHONY: fmt-check
fmt-check: ## check the format
	@$(STEP) "format" cargo fmt --check

.PHONY: clippy
clippy: ## lint; every warning is an error
	@$(STEP) "clippy" cargo clippy --release --all-targets -- -D warnings
	@$(STEP) "clippy of the tests that cargo test leaves out" \
	  cargo clippy --release --test e2e --test model --test chart -- -D warnings

.PHONY: unit
unit: ## all tests without a cluster: unit, integration, conformance
	@$(STEP) "tests without a cluster" cargo test --release --quiet

.PHONY: conformance
conformance: ## only: recorded answers of Argo Rollouts against ours, with figures [DIR=folder of other recordings]
	@$(if $(DIR),CONFORMANCE_DIR=$(abspath $(DIR))) $(STEP) "conformance" cargo test --release --test conformance -- --nocapture

.PHONY: model
model: ## only: the decisions under random schedules and crashes [N=50000]
	@MODEL_SCHEDULES=$(or $(N),50000) $(STEP) "model" cargo test --release --test model -- --nocapture

.PHONY: mutants
mutants: ## seed bugs in the decisions, one by one, and demand that the model finds each (long)
	@$(STEP) "mutants" tests/model/mutants/run

.PHONY: mutants-check
mutants-check: ## check that the seeded bugs still apply to the sources
	@$(STEP) "mutants apply" tests/model/mutants/run --check

.PHONY: fuzz
fuzz: ## only: hostile input to everything that parses [N=100000] changed inputs for each
	@FUZZ_CASES=$(or $(N),100000) $(STEP) "fuzz" cargo test --release --test fuzz -- --nocapture

.PHONY: docs
docs: ## write docs/reference.md, docs/schema and docs/conformance.md from the code
	@UPDATE_DOCS=1 $(STEP) "docs/reference.md, docs/schema" cargo test --release --quiet --test docs is_fresh
	@UPDATE_DOCS=1 $(STEP) "docs/conformance.md" cargo test --release --quiet --test conformance haldane_answers

.PHONY: docs-check
docs-check: ## check that docs/reference.md and docs/schema are fresh and links lead somewhere
	@$(STEP) "docs" cargo test --release --quiet --test docs

.PHONY: dashboard-web
dashboard-web: ## build the page of kubectl canary dashboard with npm; cargo embeds what is committed
	@$(STEP) "page of the dashboard" tests/dashboard-web

.PHONY: dashboard-check
dashboard-check: ## check that the committed page of the dashboard is built of its sources
	@$(STEP) "page of the dashboard" tests/dashboard-web --check

.PHONY: deny
deny: ## check licences and sources of dependencies, if cargo-deny is installed
	@if command -v cargo-deny >/dev/null; then \
	  $(STEP) "dependencies" cargo deny --offline --log-level error check bans licenses sources; \
	else $(STEP) --skip "dependencies: cargo-deny is not installed"; fi

.PHONY: sbom
sbom: ## write what the binary is made of, as CycloneDX, from Cargo.lock
	@mkdir -p $(CARGO_TARGET_DIR)
	@$(STEP) "bill of materials" bash -c 'tests/sbom >$(CARGO_TARGET_DIR)/haldane-$(VERSION).cdx.json'

.PHONY: shellcheck
shellcheck: ## check shell scripts, if shellcheck is installed
	@if command -v shellcheck >/dev/null; then \
	  $(STEP) "shell scripts" tests/shellcheck; \
	else $(STEP) --skip "shell scripts: shellcheck is not installed"; fi

.PHONY: chart
chart: ## only: the chart against Helm and kustomize, alerts against promtool, scripts for Argo CD; first builds the tools
	@$(STEP) "chart, alerts, Argo CD" tests/cluster/cluster with kubernetes helm prometheus lua -- \
	  cargo test --release --quiet --test chart

.PHONY: e2e
e2e: ## tests on a real cluster [CLUSTER=haldane-e2e] [FILTER=words] (root)
	@$(STEP) "end to end" tests/e2e/run $(or $(CLUSTER),haldane-e2e) $(FILTER)

.PHONY: e2e-long
e2e-long: ## the same, and those that take minutes: autoscalers, certificates, a bypassed webhook [CLUSTER=] [FILTER=] (root)
	@HALDANE_E2E_LONG=1 $(STEP) "end to end, all" tests/e2e/run $(or $(CLUSTER),haldane-e2e) $(FILTER)

.PHONY: bench-abort
bench-abort: ## measure how fast a bad release is taken back [CLUSTER=haldane-e2e] (root)
	@$(STEP) "benchmark" tests/e2e/run $(or $(CLUSTER),haldane-e2e) bench::abort

.PHONY: bench-idle
bench-idle: ## measure what managed Deployments cost that nobody changes [DEPLOYMENTS=200] [CLUSTER=haldane-e2e] (root)
	@IDLE_DEPLOYMENTS=$(or $(DEPLOYMENTS),200) $(STEP) "benchmark" tests/e2e/run $(or $(CLUSTER),haldane-e2e) bench::idle

.PHONY: bench-storm
bench-storm: ## measure what many releases at once cost [RELEASES=20] [CLUSTER=haldane-e2e] (root)
	@STORM_RELEASES=$(or $(RELEASES),20) $(STEP) "benchmark" tests/e2e/run $(or $(CLUSTER),haldane-e2e) bench::storm

.PHONY: soak
soak: ## release over and over among random faults, write docs/soak.md [MINUTES=45] [DEPLOYMENTS=50] [SEED=1] [CLUSTER=haldane-e2e] (root)
	@SOAK_MINUTES=$(or $(MINUTES),45) SOAK_DEPLOYMENTS=$(or $(DEPLOYMENTS),50) SOAK_SEED=$(or $(SEED),1) \
	  $(STEP) "soak" tests/e2e/run $(or $(CLUSTER),haldane-e2e) bench::soak

.PHONY: bench-admission
bench-admission: ## measure how fast the webhook answers [DURATION=20] seconds [RATE=1000] requests/s
	@$(STEP) "build" cargo build --release --example bench-admission
	@$(BIN)/examples/bench-admission $(if $(DURATION),--seconds $(DURATION)) $(if $(RATE),--rate $(RATE))

.PHONY: cluster
cluster: ## bring up a real Kubernetes on this machine [CLUSTER=haldane] (root)
	@$(STEP) "cluster" tests/cluster/cluster up $(or $(CLUSTER),haldane)

.PHONY: cluster-down
cluster-down: ## take it down [CLUSTER=haldane] (root)
	@$(STEP) "cluster down" tests/cluster/cluster down $(or $(CLUSTER),haldane)

.PHONY: image
image: build ## pack the image as an archive, without Docker; see also the Dockerfile
	@$(STEP) "image" tests/cluster/mkimage haldane:$(VERSION) $(CARGO_TARGET_DIR)/haldane-$(VERSION).tar \
	  --user 65532:65532 $(BIN)/haldane=/haldane
	@printf 'docker load -i %s\n' $(CARGO_TARGET_DIR)/haldane-$(VERSION).tar

.PHONY: clean
clean: ## remove what was built; clusters and their cache stay
	cargo clean
