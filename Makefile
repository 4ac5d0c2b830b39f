# make train   install what is missing, then train 784-128-10 on MNIST
# make test    install what is missing, then run every test
#
# TRAIN takes flags of clgrad train, as in: make train TRAIN="--layers 500,150"

# The OpenCL headers ask for a version; the binding is written for 1.2.
export CGO_CFLAGS := -O2 -g -DCL_TARGET_OPENCL_VERSION=120

GO ?= go

.PHONY: train test lint build compare kills deps openblas-deps openblas-test clean

train: build
	@bin/clgrad train $(TRAIN)

build: deps
	@$(GO) build -o bin/clgrad ./cmd/clgrad

# Every test, those that meet a driver anew each time; then the Go code under the race detector, without drivers and
# without what only repeats arithmetic; then the pure-Go build. The last two have
# no OpenCL by intention, so there it is not required.
test: deps
	$(GO) vet ./...
	$(GO) test ./cpu ./kernels ./network/...
	$(GO) test -count=1 ./gpu ./cmd/...
	REQUIRE_OPENCL=0 $(GO) test -race -short -tags nogpu -skip 'TestFloat64|TestSplits|TestFaultsAreFound' ./...
	REQUIRE_OPENCL=0 CGO_ENABLED=0 $(GO) test -short ./gpu ./cmd/...

lint:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt-clean: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

deps:
	@./cmd/install-deps.sh pkg-config opencl

# clgrad against NumPy and PyTorch, as a table. Nothing else should be running.
compare: build
	@./cmd/install-deps.sh peers
	@$(GO) run ./cmd/compare

# Training killed at KILLS random moments on each backend, and gone on with: every run has to end with the same bits.
KILLS ?= 200

kills: deps
	KILLS=$(KILLS) $(GO) test -count=1 -timeout 2h -v -run '^TestKills$$' ./cmd/clgrad

# The CPU backend over OpenBLAS.
openblas-deps: deps
	@./cmd/install-deps.sh openblas

openblas-test: openblas-deps
	CGO_LDFLAGS=-lopenblas $(GO) test -tags openblas ./cpu

clean:
	rm -rf bin
