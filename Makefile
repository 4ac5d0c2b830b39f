# make train   install what is missing, then train 784-128-10 on MNIST
# make test    install what is missing, then run every test
#
# TRAIN takes flags of clgrad train, as in: make train TRAIN="--layers 500,150"

# The OpenCL headers ask for a version; the binding is written for 1.2.
export CGO_CFLAGS := -O2 -g -DCL_TARGET_OPENCL_VERSION=120

GO ?= go

.PHONY: train test lint build compare load portable recipes onnx oclgrind mesa mesa-train ptx faults soak kills fuzz deps openblas-deps openblas-test mpi-test browser-test clean

train: build
	@bin/clgrad train $(TRAIN)

build: deps
	@$(GO) build -o bin/clgrad ./cmd/clgrad

# Every test, those that meet a driver anew each time; then the Go code under the race detector, without drivers and
# without ONCE, tests that take long there and start nothing at the same time that other tests do not (arithmetic,
# pictures, runs read again, scripts of a shell); then the pure-Go build. The last two have no OpenCL by intention, so
# there it is not required.
ONCE := TestFloat64 TestSplits TestSoak TestFaultsAreFound Example_mnist TestConverges TestEarlyStopping $\
	TestPage TestEscaping TestReportPictures TestWriteReport $\
	TestTrainEverywhere TestEqualRuns TestSavedModelElsewhere TestClassifierTrains TestClassifierFiles TestFrom TestAdvice TestCheck TestLineKeys TestLinesOfEpochs $\
	TestRecipes TestRecipeClaims TestRecipeOfOtherData TestReproduce TestShifts TestNotFiniteResults TestPredict TestPredictOutRefuses TestPredictPictures TestTrainOnPictures TestNoTestSet TestOtherClasses $\
	TestResume TestResumeRefuses TestResumeDamaged TestResumeDamagedModel TestResumePlan TestResumeNewPlan TestResumeFinished $\
	TestResumeShifts TestResumeLonger TestResumeLongerRefuses TestResumeOlder TestConvergesAtOnce TestConvergesInterrupted TestModelBeforeReport TestReadOnly $\
	TestKills TestBench TestBenchProfile TestBenchBatches TestBenchRows TestBenchstat $\
	TestCompletionBash TestCompletionShells TestHelpWidth TestHelpCommand TestSuggestions
SCRIPTS_ONCE := tables arrays export misfit foreign_model training_flags runs_diff
empty :=
either = ^($(subst $(empty) $(empty),|,$(strip $(1))))$$
test: deps
	$(GO) vet ./...
	$(GO) test -timeout 5m ./cpu ./kernels ./network/...
	$(GO) test -count=1 -timeout 20m ./gpu ./cmd/...
	REQUIRE_OPENCL=0 $(GO) test -timeout 20m -race -short -tags nogpu -skip '$(call either,$(ONCE))|^TestScripts$$/$(call either,$(SCRIPTS_ONCE))' ./...
	REQUIRE_OPENCL=0 CGO_ENABLED=0 $(GO) test -timeout 10m -short ./gpu ./cmd/...

lint:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt-clean: $$unformatted"; exit 1; }
	$(GO) vet ./...
	GOOS=windows CGO_ENABLED=0 $(GO) vet ./...
	$(GO) tool staticcheck ./...

deps:
	@./cmd/install-deps.sh pkg-config opencl

# clgrad against NumPy, PyTorch and scikit-learn, as tables. Nothing else should be running. COMPARE takes flags of
# cmd/compare, as in: make compare COMPARE="-tables accuracy -seeds 5"
compare: build
	@./cmd/install-deps.sh peers
	@$(GO) run ./cmd/compare $(COMPARE)

# clgrad serve under load, beside the same network in PyTorch behind uvicorn and a handler that computes nothing. Nothing
# else should be running. LOAD takes flags of cmd/load, as in: make load LOAD="-clients 8 -rows 1"
load: build
	@./cmd/install-deps.sh server
	@$(GO) run ./cmd/load $(LOAD)

# A folder to copy to a machine without Go, network or OpenCL loader, whose run.sh
# measures everything there: for Linux on this processor's architecture.
portable: build
	@rm -rf .build/portable && mkdir -p .build/portable/lib
	@cp bin/clgrad cmd/portable/run.sh cmd/portable/losses.sh cmd/compare/peer.py cmd/compare/learner.py .build/portable
	@$(GO) build -o .build/portable/compare ./cmd/compare
	@$(GO) test -c -o .build/portable/gpu.test ./gpu
	@XDG_CACHE_HOME=$(CURDIR)/.build/portable/cache bin/clgrad data fetch mnist >/dev/null
	@cp -L "$$(ldconfig -p | sed -n 's/.*libOpenCL\.so\.1 .*=> //p' | head -n 1)" .build/portable/lib/
	@du -sh .build/portable

# The recipes to their end, each kept in a folder of runs.
recipes: build
	@for r in assignment nn-class iiakshat chang biswas fast best; do bin/clgrad train --recipe $$r || exit 1; done

# Exported networks computed by ONNX Runtime, a WebAssembly module of npm under node. It is put into .build/onnx;
# ONNXRUNTIME names another folder with node_modules/onnxruntime-web in it.
ONNXRUNTIME ?= $(CURDIR)/.build/onnx
onnx:
	@./cmd/install-deps.sh onnx
	@[ -d $(ONNXRUNTIME)/node_modules/onnxruntime-web ] || npm install --silent --no-audit --no-fund --prefix $(ONNXRUNTIME) onnxruntime-web@1.30.0
	REQUIRE_ONNX=1 ONNXRUNTIME=$(ONNXRUNTIME) $(GO) test -count=1 -v -run '^TestRuntime$$' ./network/checkpoint/onnx

# Every kernel in a simulator that finds data races, values used before they are
# written, accesses outside of buffers and wrong calls. It is to find nothing there,
# and what is wrong in kernels that are.
oclgrind: deps
	@./cmd/install-deps.sh oclgrind
	OCLGRIND=1 $(GO) test -count=1 -timeout 1h -run TestOclgrind -v ./gpu

# Mesa's OpenCL driver Rusticl on llvmpipe, its renderer for CPUs. The driver is unpacked into .build/mesa, not
# installed, so no other target sees it; what is to see it is told so by OCL_ICD_VENDORS, as in
#   OCL_ICD_VENDORS=.build/mesa/vendors RUSTICL_ENABLE=llvmpipe bin/clgrad devices
# mesa-train: a small run has to end with the loss of cpu64 (half a minute). mesa: so has the default network, and the
# quick suite runs with every variant of the kernels (an hour or more on two cores: this driver compiles slowly).
MESA := MESA=1 REQUIRE_OPENCL=1 RUSTICL_ENABLE=llvmpipe OCL_ICD_VENDORS=$(CURDIR)/.build/mesa/vendors
mesa-train: deps
	@./cmd/install-mesa.sh .build/mesa
	$(MESA) $(GO) test -short -count=1 -v -run '^TestMesa$$' ./cmd/clgrad

mesa: deps
	@./cmd/install-mesa.sh .build/mesa
	$(MESA) $(GO) test -count=1 -timeout 4h -v -run '^TestMesa$$' ./cmd/clgrad ./gpu

# Every kernel of a GPU's defaults compiled and assembled for NVIDIA's devices, without one: clang and
# ptxas (NVIDIA's CUDA toolkit, 11.8 or later) have to be there. The instructions that are tried on a device are compiled.
ptx:
	PTX=1 $(GO) test -count=1 -run 'TestPTX|TestInstructionsCompile' -v ./kernels ./gpu

# What goes wrong: every driver call failing in turn, handles left over, kernels and backends that are broken on
# purpose, drivers and numbers that fail; then the tests that meet a driver with freed Go memory overwritten, and with
# every pointer that crosses to C checked.
DRIVER_TESTS := 'TestConformance/.*/default|TestInputInSeveralBuffers|TestProfile|TestReleased|TestSoak'
faults: deps
	$(GO) test -count=1 -v -run 'TestEveryCallFailing|TestReleased|TestSelfTest' ./gpu
	$(GO) test -count=1 -run 'TestFault|TestClosed|TestTooSmall|TestLeak|TestBuildError|TestBrokenKernels' ./gpu
	$(GO) test -count=1 -run 'TestFaults|TestErrors|TestSoak' ./network/backendtest
	$(GO) test -count=1 -run 'TestScripts|TestOddNumbers' ./cmd/clgrad
	GODEBUG=clobberfree=1 $(GO) test -count=1 -short -run $(DRIVER_TESTS) ./gpu
	GOEXPERIMENT=cgocheck2 $(GO) test -count=1 -short -run $(DRIVER_TESTS) ./gpu

# 50,000 iterations of a small network on every OpenCL device and on the CPU: memory, files, handles and time.
SOAK ?= 50000
soak: deps
	SOAK=$(SOAK) $(GO) test -count=1 -timeout 2h -v -run '^TestSoak$$' ./gpu ./cpu

# Training killed at KILLS random moments on each backend, and gone on with: every run has to end with the same bits.
KILLS ?= 200

kills: deps
	KILLS=$(KILLS) $(GO) test -count=1 -timeout 2h -v -run '^TestKills$$' ./cmd/clgrad

# Every fuzz target for FUZZTIME.
FUZZTIME ?= 10m
fuzz: deps
	@for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p || exit 1; \
		done; \
	done

# The CPU backend over OpenBLAS.
openblas-deps: deps
	@./cmd/install-deps.sh openblas

openblas-test: openblas-deps
	CGO_LDFLAGS=-lopenblas $(GO) test -tags openblas ./cpu

# Training by several processes, which Open MPI's mpirun starts on this machine.
mpi-test: deps
	@./cmd/install-deps.sh mpi
	$(GO) vet -tags mpi ./network/mpi ./cmd/clgrad
	$(GO) test -tags mpi -count=1 -timeout 10m ./network/mpi ./cmd/clgrad/ranks
	$(GO) test -tags mpi -count=1 -timeout 10m -run '^TestRank' ./cmd/clgrad

# The report and the pages of train --watch and serve in a headless Chromium, on a desktop and a phone, light and dark.
# SCREENSHOTS names a folder that the screenshots are written to.
browser-test: deps
	@./cmd/install-deps.sh browser
	REQUIRE_BROWSER=1 $(GO) test -count=1 -timeout 20m -v -run '^TestBrowser' $$(grep -rl '^func TestBrowser' --include='*_test.go' cmd | xargs -n 1 dirname | sort -u | sed 's,^,./,')

clean:
	rm -rf bin
