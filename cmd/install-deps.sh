#!/bin/sh
# Installs what the named parts of the build need and this machine lacks:
#   pkg-config  a C compiler and pkg-config
#   opencl      OpenCL headers, the loader, and PoCL where no driver is there
#   openblas    OpenBLAS
#   peers       NumPy over OpenBLAS, PyTorch and scikit-learn
#   server      PyTorch, Starlette and uvicorn, for make load
#   onnx        node and npm, for the ONNX Runtime of make onnx
#   mpi         Open MPI
#   browser     Chromium, for the tests of pages
#   oclgrind    the simulator of make oclgrind
# Debian and Ubuntu are served by apt-get; elsewhere it says what to install.
set -eu

missing=""
for part in "$@"; do
	case $part in
	pkg-config)
		command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
		command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
		;;
	opencl)
		if ! pkg-config --exists OpenCL 2>/dev/null || [ ! -e "$(pkg-config --variable=includedir OpenCL 2>/dev/null)/CL/cl.h" ]; then
			missing="$missing ocl-icd-opencl-dev"
		fi
		drivers=${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}
		[ -f "$drivers" ] || ls "$drivers"/*.icd >/dev/null 2>&1 || missing="$missing pocl-opencl-icd"
		;;
	openblas)
		[ -e /usr/include/cblas.h ] || ls /usr/include/*/cblas.h >/dev/null 2>&1 || missing="$missing libopenblas-dev"
		;;
	peers)
		/usr/bin/python3 -c 'import numpy' 2>/dev/null || missing="$missing python3-numpy"
		/usr/bin/python3 -c 'import torch' 2>/dev/null || missing="$missing python3-torch"
		/usr/bin/python3 -c 'import sklearn' 2>/dev/null || missing="$missing python3-sklearn"
		ls /usr/lib/*/openblas-pthread/libblas.so.3 >/dev/null 2>&1 || missing="$missing libopenblas0-pthread"
		;;
	server)
		/usr/bin/python3 -c 'import torch' 2>/dev/null || missing="$missing python3-torch"
		/usr/bin/python3 -c 'import starlette' 2>/dev/null || missing="$missing python3-starlette"
		/usr/bin/python3 -c 'import uvicorn' 2>/dev/null || missing="$missing uvicorn"
		for part in uvloop httptools ujson; do
			/usr/bin/python3 -c "import $part" 2>/dev/null || missing="$missing python3-$part"
		done
		;;
	onnx)
		command -v node >/dev/null 2>&1 || missing="$missing nodejs"
		command -v npm >/dev/null 2>&1 || missing="$missing npm"
		;;
	mpi)
		command -v mpirun >/dev/null 2>&1 || missing="$missing openmpi-bin"
		pkg-config --exists ompi-c 2>/dev/null || missing="$missing libopenmpi-dev"
		;;
	browser)
		command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
		;;
	oclgrind)
		command -v oclgrind >/dev/null 2>&1 || missing="$missing oclgrind"
		;;
	*)
		echo "install-deps: unknown part $part" >&2
		exit 2
		;;
	esac
done
[ -z "$missing" ] && exit 0

if [ "$(uname -s)" = Darwin ]; then
	# OpenCL is part of macOS; the compiler comes with the command line tools.
	case $missing in
	*gcc*) echo "install-deps: a C compiler is missing: xcode-select --install" >&2; exit 1 ;;
	esac
	exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "install-deps: no apt-get here: install what corresponds to Debian's packages$missing" >&2
	echo "(or build without OpenCL: CGO_ENABLED=0 go run ./cmd/clgrad train)" >&2
	exit 1
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "install-deps: not root and no sudo here: run as root: apt-get install$missing" >&2
		exit 1
	fi
	as_root=sudo
fi
echo "install-deps: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # lists of words
{
	$as_root apt-get update -qq
	$as_root apt-get install -y -qq $missing
} >&2
