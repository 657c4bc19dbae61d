# Greenroom. `make demo` tells the whole story; `make test` proves it.

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   := -s -w -X main.version=$(VERSION)
BUILD     := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'

.PHONY: all build demo test torture quick lint bench bench-data fuzz setup clean

all: build

## build: the one binary, bin/greenroom
build:
	$(BUILD) -o bin/greenroom ./cmd/greenroom

## demo: the whole story on the bundled shop, on this machine (make demo ARGS=--exit ends it)
demo: build
	@./scripts/setup demo
	@./bin/greenroom demo $(ARGS)

## test: install what the tests need, then run all of them with the race detector (the longest first; more at once is no quicker on two cores, and what waits for a moment waits too long)
test: bin/gotestsum
	@./scripts/setup test
	CGO_ENABLED=0 $(GO) vet -trimpath ./...
	@./scripts/tests ./bin/gotestsum --format standard-quiet $(ONCE_MORE) --packages './internal/daemon ./...' -- -race -vet=off -p 2 -parallel 4 -timeout 60m
	$(MAKE) torture KILLS=$(or $(KILLS),50)

# Of tests that fail beside all others up to three are run once more, alone; the summary names them even if they pass then. A
# data race is never given that chance. ONCE_MORE= takes it from all.
ONCE_MORE ?= --rerun-fails=1 --rerun-fails-max-failures=3 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race

bin/gotestsum: tools/go.mod
	@mkdir -p bin
	cd tools && $(GO) build -trimpath -o ../bin/gotestsum gotest.tools/gotestsum

## torture: kill whatever is there at random, and ask a model whether what was seen can be (KILLS=500 SEED=42 make torture)
torture: export KILLS := $(or $(KILLS),100)
torture: export SEED := $(SEED)
torture:
	@./scripts/setup test
	@./scripts/tests $(GO) test -race -vet=off -count 1 -timeout 0 -v -run '^TestTorture$$' ./internal/daemon

## quick: the tests that need no service
quick:
	$(GO) test -short ./...

## lint: the import table and the linters (.golangci.yml)
lint:
	@mkdir -p bin
	cd tools && $(GO) build -o ../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	./bin/golangci-lint run ./...

## bench: the edge beside its peers, what a promotion, proof and copies cost, in one run
bench:
	@./scripts/setup bench
	$(GO) run ./bench/edge
	$(GO) run ./bench/promotion
	$(GO) run ./bench/trust
	$(GO) run ./bench/data -size 100MB
	$(GO) test -run '^$$' -bench . -benchtime 1s ./internal/...

## bench-data: copying, resetting and watching a database beside PostgreSQL's own programs (make bench-data SIZE=20GB)
bench-data:
	@./scripts/setup demo
	$(GO) run ./bench/data -size $(or $(SIZE),1GB)

## fuzz: each fuzz target for half a minute
fuzz:
	@./scripts/fuzz 30s

## setup: install what the demo and the tests need
setup:
	@./scripts/setup test

clean:
	rm -rf bin
