# What is run by hand and by .ci/run. Variables can be given on the command
# line, as in: make run ARGS='--listen :9000 --log-level debug'

VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Modules of their own: what they import, wsd does not.
MODULES     := $(patsubst %/go.mod,%,$(wildcard examples/*/go.mod bench/*/go.mod deploy/check/go.mod))
# All but the tests that need other programs' clients, or root: "make e2e", "make lab".
# Those that take longest come first: Go tests as many at a time as there are processors.
LONGEST     := wsd/cmd/wsd wsd/server wsd/cluster
PACKAGES     = $(LONGEST) $(filter-out $(LONGEST),$(shell go list ./... | grep -v -e '/e2e' -e '/lab'))
# Whole processes, for minutes; built without the detector; a hundred that end at once;
# or long ones whose code others race as well (TestUpgrades, TestUpgradesWithFaults, TestLargeEcho).
NOT_RACED   := ^Test(UpgradeFaults|ServeExtremes|LargeMemory|LargeRoom|NeverKilled|Soak|TwoClusters|Cluster[A-Z].*|UpgradeAcrossBuilds|ShippedProgramHasNoFaults|BadUsage|BenchUsage|PrintConfigRoundTrip)$$
ARGS        ?=
BENCH       ?= .
FUZZTIME    ?= 60s
FAULTTIME   ?= $(FUZZTIME)
ROUNDS      ?= 3
CLIENTS     ?= 200000
SECONDS     ?= 60
HOURS       ?= 0.008
OUT         ?= bin/soak
SEED        ?=

.PHONY: race-build faults compare scale bench-publish bench-fair bench-large build run test race e2e lint fuzz bench upgrade-demo docs man package package-test cross clean help lab lab-short soak arm64-test corpus vm vm-short cluster-short cluster-test bench-cluster

build: ## build the program: bin/wsd
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/wsd ./cmd/wsd

run: build ## build and run the server; flags in ARGS
	bin/wsd serve $(ARGS)

test: ## test all packages, and the modules of their own; needs nothing but Go
	go test -timeout 15m -shuffle=on $(PACKAGES)
	@set -e; for m in $(MODULES); do echo "== $$m"; (cd $$m && go vet ./... && go test ./...); done

race: ## test all packages with the race detector, but for some minutes' worth of long ones that "test" has run
	go test -race -timeout 30m -shuffle=on -skip '$(NOT_RACED)' $(PACKAGES)

race-build: ## compile what "race" runs, so that it begins sooner
	go test -race -run '^$$' $(PACKAGES)

e2e: ## test with real clients: Python's websockets, npm's ws, Chromium, curl, promtool, and behind HAProxy and nginx; installs what is missing
	e2e/install.sh
	e2e/status/install.sh
	go test -timeout 20m -count=1 -v ./e2e/...

lab: ## test on several hosts (network namespaces) whose links lose packets and are cut; as root, some five minutes
	lab/install.sh
	WSD_LAB=long go test -timeout 1h -count=1 -parallel 20 -v ./lab ./lab/checker ./lab/hosts

lab-short: ## the short form of the same, in less than a minute
	lab/install.sh
	WSD_LAB=require go test -timeout 5m -count=1 -parallel 20 -v ./lab ./lab/checker ./lab/hosts

lint: ## gofmt, go vet for amd64, arm64 and the build tags, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "run gofmt on: $$unformatted"; exit 1; fi
	GOARCH=amd64 go vet ./...
	GOARCH=arm64 go vet ./...
	go vet -tags faults ./netpoll ./server ./cmd/wsd
	go vet -tags nocluster ./cmd/wsd
	go vet -tags noembed ./cmd/wsd
	go vet ./.ci/corpus
	go run $(STATICCHECK) ./... ./.ci/corpus
	go run $(STATICCHECK) -tags faults ./netpoll ./server

fuzz: ## run every fuzz target for FUZZTIME each
	.ci/fuzz $(FUZZTIME) $(FAULTTIME)

corpus: ## keep what fuzzing on this machine has found: the fewest inputs with the same coverage, in testdata/fuzz
	go run ./.ci/corpus

bench: ## run the Go benchmarks that match BENCH
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

upgrade-demo: ## ten live upgrades in a row under 15,000 clients, and what they noticed
	UPGRADE_CLIENTS=15000 go test -count=1 -v -run '^TestUpgrades$$' ./cmd/wsd

soak: ## all that clients and publishers do, good and bad, and live upgrades, for HOURS, at random from SEED; report and plot: OUT
	mkdir -p $(dir $(OUT))
	SOAK_HOURS=$(HOURS) SOAK_SEED=$(SEED) SOAK_OUT=$(abspath $(OUT)) go test -count=1 -v -timeout 0 -run '^TestSoak$$' ./cmd/wsd

faults: ## have system calls fail under a whole server, in each way once, and for SECONDS at random, or by SEED: docs/lab.md
	go test -race -count=1 -timeout 10m -tags faults -run '^Test(Fault|Every(Call|Size|Start))' ./netpoll ./server
	FAULT_SECONDS=$(SECONDS) FAULT_SEED=$(SEED) go test -count=1 -v -timeout 24h -tags faults -run '^TestFaultSeeds$$' ./server

cluster-short: ## a cluster on three hosts in the short form, with either NATS: a minute; as root
	lab/install.sh
	WSD_LAB=require go test -timeout 5m -count=1 -parallel 10 -v ./lab/cluster

cluster-test: ## a cluster under faults that last, on one host and on three (as root), ten upgrades of each node, 10,000 subscribes: twenty minutes
	WSD_SUBSCRIBES=10000 go test -count=1 -timeout 10m ./cluster/...
	lab/install.sh
	WSD_LAB=long go test -timeout 30m -count=1 -parallel 8 -v ./lab/cluster
	CLUSTER_LONG=1 CLUSTER_UPGRADES=10 go test -count=1 -v -timeout 30m -run '^Test(Cluster|TwoClusters)' ./cmd/wsd

compare: build ## run six other Go servers and a C floor beside wsd, ROUNDS times (ten minutes for 3): bench/peers/comparison
	go -C bench/peers run ./compare --wsd "$(CURDIR)/bin/wsd" --rounds $(ROUNDS) --out "$(CURDIR)/bench/peers/comparison"

scale: build ## hold CLIENTS on this machine, idle and with heartbeats: docs/benchmarks
	WSD="$(CURDIR)/bin/wsd" bench/scale.sh $(CLIENTS)

bench-publish: build ## what a publish to all costs: the other clients' heartbeats, and memory a client
	WSD="$(CURDIR)/bin/wsd" bench/publish.sh

bench-cluster: build ## what a cluster costs: time to the last client, processor time, idle memory, size of the program
	WSD="$(CURDIR)/bin/wsd" bench/cluster.sh

bench-fair: build ## what clients that ask for much do to the others: publishes, heartbeats, upgrades
	WSD="$(CURDIR)/bin/wsd" bench/fair.sh

bench-large: build ## echoes of 1 and 16 MiB beside npm's ws, which is installed for it
	go -C bench/peers run ./large --wsd "$(CURDIR)/bin/wsd"
vm: ## boot a virtual machine with Debian's kernel, in software: CLIENTS in one process, and the faults that a container cannot have (ARCH=arm64, MEMORY=MiB)
	CLIENTS=$(CLIENTS) lab/vm/run.sh $(ARGS)

vm-short: ## the same with 30,000 clients, and less of each fault: two minutes
	CLIENTS=30000 lab/vm/run.sh -test.short $(ARGS)

docs: ## write docs/configuration.md anew from the flags
	go test ./cmd/wsd -run '^TestConfigurationDocs$$' -update

man: build ## write the manual pages: bin/man
	bin/wsd man --date "$$(git log -1 --format=%cs)" bin/man

package: ## build the .deb and the .rpm for ARCH (this machine's, or amd64, arm64): dist/
	deploy/package/build.sh

package-test: package ## check and install them, in throw-away copies of this Debian machine; as root
	deploy/test.sh

cross: ## build where it will not run in CI: arm64, and macOS, where it says that it needs Linux
	GOOS=linux GOARCH=arm64 go build -o /dev/null ./cmd/wsd
	GOOS=darwin GOARCH=arm64 go build ./...

arm64-test: ## test for arm64 under qemu-user, on any processor; installs what is missing
	.ci/arm64

clean: ## remove what was built
	rm -rf bin dist

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
