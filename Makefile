# Cairn's commands. `make run` starts a one-node cluster; `make test` runs what CI runs.

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -X github.com/cairndb/cairn/cmd/node.Version=$(VERSION)
# The packages whose tests run with the race detector: those that share memory
# between goroutines.
RACE     := ./txn/... ./kv/... ./raftstore/... ./pgwire/... ./sql/catalog/... ./sql/jobs/...
PSQL_DEBIAN := postgresql-15 postgresql-client-15 python3-psycopg2
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help build run demo test deps unit race cluster-test slt lint bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/cairn
	@mkdir -p bin
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/cairn ./cmd/cairn

run: build ## build, then run a one-node cluster with its data in ./cairn-data
	@exec ./bin/cairn start-single-node --insecure --store=./cairn-data

demo: build ## a throw-away cluster of three nodes in one process, with psql on it
	@exec ./bin/cairn demo --nodes=3

deps:
	@missing=""; \
	[ -x /usr/lib/postgresql/15/bin/postgres ] && command -v pgbench >/dev/null || missing="$$missing postgresql-15"; \
	command -v psql >/dev/null || missing="$$missing postgresql-client-15"; \
	/usr/bin/python3 -c 'import psycopg2' 2>/dev/null || missing="$$missing python3-psycopg2"; \
	if [ -n "$$missing" ]; then \
	  echo "The tests need Debian's$$missing; installing."; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo mkdir -p /etc/postgresql-common/createcluster.d && \
	  echo 'create_main_cluster = false' | $$sudo tee /etc/postgresql-common/createcluster.d/cairn-tests.conf >/dev/null; \
	  $$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	fi

test: deps lint unit race cluster-test ## install what the tests need, then run all that CI runs

unit:
	$(GO) test $$($(GO) list ./... | grep -v /test/)

race:
	$(GO) test -race -short $(RACE)

cluster-test: build
	$(GO) test -count=1 -timeout 20m ./test/...

slt: build ## run SQLite's whole corpus against a running server (DSN=...)
	$(GO) run ./test/sqllogictest/slt --help

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "not gofmt'ed: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

bench: ## benchmarks of the hot paths
	$(GO) test -run '^$$' -bench . -benchmem ./txn/... ./kv/... ./raftstore/... ./sql/... ./pgwire/...

clean: ## remove bin/; never touches data
	rm -rf bin
