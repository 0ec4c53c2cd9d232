# `make` does what CI does. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := ci
MAKEFLAGS += --no-builtin-rules
# dockerd, and what dpkg needs, are in folders that are not in the path of somebody who became root by a plain `su`.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

# The version is the tag, else the commit. A source archive without git is "dev". Nothing else about the place or the
# time of the build goes into a binary: the same commit and the same Go give the same bytes.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

BIN := $(CURDIR)/bin
TOOLS := $(CURDIR)/.tools
GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)
FUZZTIME ?= 20s
SOAKTIME ?= 1h
# The plugin is copied to every developer's machine: its size is a promise.
PLUGIN_LIMIT_MB := 48

# The packages of Debian that the demo and the end-to-end tests use: an engine, a foreign client, and the oracle of
# trust/yara.
DEMO_PACKAGES := docker.io
E2E_PACKAGES := docker.io skopeo yara
CLIENT_PACKAGES := docker.io skopeo podman

.PHONY: ci
ci: lint test ## lint and test: what CI runs

# Go fetches modules over TLS, and a minimal Debian has no certificate authorities: git only recommends their package.
# Elsewhere this does nothing. Failing to install them stops nobody, since the modules may be there already.
.PHONY: certificates
certificates:
	@if (( EUID == 0 )) && [[ -e /etc/debian_version && -z "$${SSL_CERT_FILE:-}$${SSL_CERT_DIR:-}" ]]; then \
		packages=ca-certificates test/demo/install.sh || true; fi
build tools unit lint $(GOLANGCI): | certificates

.PHONY: build
build: ## build bin/docker-safepull and bin/safepull-proxy: static, reproducible
	@mkdir -p '$(BIN)'
	$(BUILD) -o '$(BIN)/' ./cmd/docker-safepull ./cmd/safepull-proxy
	@size=$$(stat -c %s '$(BIN)/docker-safepull'); if (( size > $(PLUGIN_LIMIT_MB) << 20 )); then \
		echo "bin/docker-safepull has $$size bytes, the limit is $(PLUGIN_LIMIT_MB) MiB" >&2; exit 1; fi

.PHONY: demo
demo: build tools ## watch a real engine refuse a mining image and accept a clean one
	@packages='$(DEMO_PACKAGES)' test/demo/install.sh
	@test/demo/demo.sh '$(BIN)' '$(TOOLS)'

.PHONY: test
test: unit differential e2e ## all tests: unit, arch (test/arch is one of the packages), differential and end to end

.PHONY: unit
unit: ## unit tests and test/arch
	go test -timeout 10m ./...

.PHONY: differential
differential: ## our reading of layers against containerd's, moby's and foreign builders'; half a minute, root only
	cd test/differential && CGO_ENABLED=0 go test -timeout 5m -count=1 .

.PHONY: conformance
conformance: build tools ## the pull part of the distribution specification's official suite, against safepull-proxy; seconds
	cd test/conformance && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o '$(TOOLS)/' github.com/opencontainers/distribution-spec/conformance
	@cd test/conformance && go test -count=1 . >/dev/null && go run . -bin '$(BIN)' -tools '$(TOOLS)' $(CONFORMANCEFLAGS)

.PHONY: e2e
e2e: build tools ## end-to-end stories against a real engine (Debian's), root only
	@packages='$(E2E_PACKAGES)' test/demo/install.sh
	YARA_ORACLE=1 go test -count=1 -run 'Oracle$$' ./trust/yara
	cd test/e2e && E2E_BIN='$(BIN)' E2E_TOOLS='$(TOOLS)' go test -timeout 20m -count=1 .

.PHONY: e2e-engines
e2e-engines: build tools ## the same against engines built from source; many minutes, not part of CI
	@packages='$(E2E_PACKAGES)' test/demo/install.sh
	cd test/e2e && E2E_BIN='$(BIN)' E2E_TOOLS='$(TOOLS)' E2E_ENGINES=1 go test -p 1 -timeout 60m -count=1 -v ./...

.PHONY: e2e-clients
e2e-clients: build tools ## what every client does when an image is refused, road by road (CLIENTSFLAGS='-markdown README.md' keeps it); many minutes, root only
	@packages='$(CLIENT_PACKAGES)' test/demo/install.sh
	cd test/e2e && go build -buildvcs=false -o '$(TOOLS)/clients' ./clients
	@'$(TOOLS)/clients' -bin '$(BIN)' -tools '$(TOOLS)' $(CLIENTSFLAGS)

.PHONY: tools
tools: ## build the registry and the client that tests use, as test/e2e/go.mod pins them
	@mkdir -p '$(TOOLS)'
	cd test/e2e && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o '$(TOOLS)/' \
		github.com/distribution/distribution/v3/cmd/registry github.com/google/go-containerregistry/cmd/crane

.PHONY: lint
lint: $(GOLANGCI) ## gofmt, go vet, go mod tidy, shell syntax, golangci-lint
	@out=$$(gofmt -l $$(find . -name '*.go' -not -path './.tools/*')); if [[ -n "$$out" ]]; then echo "gofmt: $$out" >&2; exit 1; fi
	go mod tidy -diff
	cd test/e2e && go mod tidy -diff
	cd test/differential && go mod tidy -diff
	cd test/conformance && go mod tidy -diff
	go vet ./...
	cd test/e2e && go vet ./...
	cd test/differential && go vet ./...
	cd test/conformance && go vet ./...
	bash -n .ci/run test/demo/*.sh
	'$(GOLANGCI)' run ./...
	cd test/e2e && '$(GOLANGCI)' run --config ../../.golangci.yaml ./...
	cd test/differential && '$(GOLANGCI)' run --config ../../.golangci.yaml ./...
	cd test/conformance && '$(GOLANGCI)' run --config ../../.golangci.yaml ./...

$(GOLANGCI):
	@mkdir -p '$(TOOLS)/install'
	GOBIN='$(TOOLS)/install' CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv '$(TOOLS)/install/golangci-lint' '$@'

.PHONY: detect
detect: ## judge generated mining images and Debian packages by content alone; Debian only, fetches 300 packages and more
	@mkdir -p '$(TOOLS)'
	go build -buildvcs=false -o '$(TOOLS)/detect' ./test/detect
	@'$(TOOLS)/detect' -cache '$(TOOLS)/detect-packages' $(DETECTFLAGS)

.PHONY: lookalike
lookalike: ## how many popular repositories are taken for look-alikes (none, to half a percent), and how many generated squats are found
	@go test -count=1 -run '^TestNumbers$$' -v ./trust/lookalike | sed -nE 's/^.*: row\t//p; /^(--- )?(FAIL|ok)/p'

.PHONY: race
race: ## unit tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 20m ./...

.PHONY: bench
bench: build tools ## what safepull costs beside docker pull, a pull-through proxy and nginx (BENCHFLAGS='-only warm'); half an hour, root only
	@packages='$(DEMO_PACKAGES) nginx' test/demo/install.sh
	go build -buildvcs=false -o '$(TOOLS)/bench' ./test/bench
	@'$(TOOLS)/bench' -bin '$(BIN)' -tools '$(TOOLS)' -cache '$(TOOLS)/bench-images' $(BENCHFLAGS)

.PHONY: soak
soak: build tools ## pulls, kills and upstream faults for SOAKTIME (1h): every byte is compared, memory is watched
	go build -buildvcs=false -o '$(TOOLS)/soak' ./test/soak
	@'$(TOOLS)/soak' -bin '$(BIN)' -tools '$(TOOLS)' -time '$(SOAKTIME)' $(SOAKFLAGS)

.PHONY: bench-inspect
bench-inspect: build ## how fast layers are inspected, beside gzip, zstd and yara; half an hour, Debian only
	@packages='zstd yara' test/demo/install.sh
	@mkdir -p '$(TOOLS)'
	go build -buildvcs=false -o '$(TOOLS)/bench-inspect' ./test/bench/inspect
	@'$(TOOLS)/bench-inspect' -bin '$(BIN)' -cache '$(TOOLS)/bench-layers' $(BENCHFLAGS)

.PHONY: bench-unit
bench-unit: ## benchmarks of packages
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s) each; test/fuzz/record.tsv keeps the hours
	go run ./test/fuzz -time '$(FUZZTIME)' $(FUZZFLAGS)

.PHONY: fuzz-inflate
fuzz-inflate: ## our inflate against the standard library's for FUZZTIME; trust/layer/inflate/FUZZING.md keeps the record
	@cd trust/layer/inflate && echo "code $$(cat block.go container.go reader.go symbols.go table.go | sha256sum | cut -c1-12)"
	go test -run '^$$' -fuzz '^FuzzAgainstGzip$$' -fuzzminimizetime 1s -fuzztime '$(FUZZTIME)' ./trust/layer/inflate

.PHONY: generate
generate: ## regenerate generated files
	go generate ./...

.PHONY: clean
clean: ## remove what was built; .tools stays, since building it takes minutes
	rm -rf '$(BIN)'

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
