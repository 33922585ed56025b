# make without a word prints what there is to make.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

# The binary says who it is (weir version, weir_build_info) through these, not
# through what go build finds in .git, which is not everywhere.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS = -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)
export GOFLAGS := $(strip $(filter-out -buildvcs=%,$(GOFLAGS)) -buildvcs=false)

PKG ?= ./...
FUZZTIME ?= 10s
TESTFLAGS ?=
BENCH ?= .
IMAGE ?= weir:$(VERSION)

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## build the static binary, bin/weir
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/weir .

.PHONY: run
run: ## run the demo: functions that start when they are called
	go run . demo

.PHONY: check
check: fmt-check vet lint race ## all that a change must pass: fmt, vet, lint, deps, test -race

.PHONY: test
test: deps bin/testsum ## run the tests (PKG=./proxy/... TESTFLAGS='-run Hold')
	bin/testsum $(SUMFLAGS) $(PKG) -- -timeout 10m $(TESTFLAGS)

.PHONY: race
race: deps bin/testsum ## run the tests with the race detector
	CGO_ENABLED=1 bin/testsum $(SUMFLAGS) $(PKG) -- -race -timeout 10m $(TESTFLAGS)

.PHONY: bench
bench: ## run the benchmarks (BENCH=Match PKG=./proxy/table)
	go test -run '^$$' -bench '$(BENCH)' -benchmem $(TESTFLAGS) $(PKG)

.PHONY: bench-all
bench-all: build ## weir beside its peers, and its benchmarks, for bench/RESULTS.md
	bin/weir bench compare --rounds 10 --markdown /dev/stderr >/dev/null
	go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./bench

.PHONY: peers
peers: deps ## install what weir bench compare compares with: nginx, HAProxy, Caddy
	go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME, 10s (FUZZ=Head for those that match)
	FUZZTIME=$(FUZZTIME) FUZZ='$(FUZZ)' scripts/fuzz

.PHONY: alloc
alloc: ## hold the allocation budgets
	go test -count 1 -run Alloc $(TESTFLAGS) $(PKG)

.PHONY: gate
gate: ## hold what a warm call pays for cold starts, against the machine's own speed
	go test -count 1 -run Gate $(TESTFLAGS) ./proxy -gate -v

.PHONY: vet
vet: ## go vet
	go vet ./...

.PHONY: lint
lint: bin/golangci-lint ## the short list of linters and the bans (.golangci.yml)
	bin/golangci-lint run ./...

.PHONY: fmt
fmt: ## format the Go files
	gofmt -w .

.PHONY: fmt-check
fmt-check:
	@bad=$$(gofmt -l .); [ -z "$$bad" ] || { echo "not formatted (make fmt):"; echo "$$bad"; exit 1; }

.PHONY: image
image: ## build the container image, FROM scratch
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t $(IMAGE) .

.PHONY: deps
deps: ## have what the tests need: installs it on Debian as root, else says what
	@scripts/deps

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist

# The tools are pinned in a module of their own: their dependencies are not ours.
bin/golangci-lint: tools/go.mod tools/go.sum
	go build -C tools -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/testsum: tools/go.mod $(wildcard tools/testsum/*.go)
	@go build -C tools -o ../bin/testsum ./testsum
