#!/bin/sh
# Everything that says how clgrad does on this machine's OpenCL devices, in one
# report file, what matters most first: devices, the conformance suite, the quick tests of package
# gpu, what the OpenCL compiler takes, launches and copies, iterations, the same at the
# precisions of tensor cores, the comparison with PyTorch and CuPy where there is a
# Python with them, recipes beside the CPU in float64, tuning, and all tests of package gpu
# (the suite with every variant of the kernels).
#
#   ./run.sh [DIR]              writes DIR/report.md (default: report beside this script)
#   BUDGET=540 ./run.sh [DIR]   takes 540 seconds at most, and 10 more for the last command to end
#
# `make portable` collects what it needs in .build/portable: copy that folder to
# a Linux machine with a processor of the same architecture and a driver. Nothing is installed and no network is needed.
#
# STEPS chooses among devices check quick instructions launches bench precision compare recipes tune test (default:
# all); LIMIT is how many seconds a command may take (default 1800), and BUDGET how many all may take (default: no
# limit). Each command gets what is left, and no more than LIMIT, which keeps one that hangs from taking it all. Those
# for which nothing is left, and all after a SIGTERM, SIGINT or SIGHUP, are named at the report's end.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/report}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
report=$out/report.md
steps=${STEPS:-devices check quick instructions launches bench precision compare recipes tune test}
limit=${LIMIT:-1800}
started=$(date +%s)
failed="" unfinished="" over="" child=""

# The loader that was packed along serves where the system has none.
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/lib"
# The data and the tuning stand in the folder.
export XDG_CACHE_HOME="$here/cache"
# A driver without an entry where the loader looks gets one here.
if [ -z "${OCL_ICD_VENDORS:-}" ] && ! ls /etc/OpenCL/vendors/*.icd >/dev/null 2>&1; then
	library=$( (ldconfig -p 2>/dev/null | sed -n 's/.*libnvidia-opencl\.so\.1 .*=> //p'
		ls /usr/local/nvidia/lib64/libnvidia-opencl.so.1 /usr/local/nvidia/lib/libnvidia-opencl.so.1 \
			/usr/lib/*/libnvidia-opencl.so.1 /usr/lib64/libnvidia-opencl.so.1 2>/dev/null) | head -n 1)
	if [ -n "$library" ]; then
		mkdir -p "$out/vendors"
		echo "$library" >"$out/vendors/nvidia.icd"
		export OCL_ICD_VENDORS="$out/vendors"
	fi
fi

wanted() { case " $steps " in *" $1 "*) return 0 ;; esac; return 1; }

# A signal ends the command that runs, and no other is started.
ended() {
	over=1
	[ -z "$child" ] || kill "$child" 2>/dev/null
}
trap ended TERM INT HUP

# seconds prints how long a command may take now, 0 for not at all.
seconds() {
	left=$limit
	if [ -n "${BUDGET:-}" ]; then
		left=$((BUDGET - $(date +%s) + started))
		[ "$left" -lt "$limit" ] || left=$limit
	fi
	[ -z "$over" ] && [ "$left" -gt 0 ] || left=0
	echo "$left"
}

# bounded SECONDS COMMAND…: the command, ended after so many seconds or by a signal to this script.
bounded() {
	timeout -k 10 "$@" 2>&1 &
	child=$!
	wait "$child"
	status=$?
	if [ -n "$over" ]; then # wait ends with the signal, the command later
		wait "$child"
	fi
	child=""
	return "$status"
}

# run TITLE COMMAND…: the command with its output, status and time, in the report.
run() {
	title=$1
	shift
	left=$(seconds)
	if [ "$left" -eq 0 ]; then
		unfinished="$unfinished
- $title: not run"
		return
	fi
	echo "$title" >&2
	begin=$(date +%s)
	{
		printf '\n## %s\n\n```\n$ %s\n' "$title" "$*" | sed "s|$here/||g"
		bounded "$left" "$@"
		status=$?
		took=$(($(date +%s) - begin))
		printf '```\n\nStatus %d after %d s.\n' "$status" "$took"
	} >>"$report"
	if [ -n "$over" ] || [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		unfinished="$unfinished
- $title: ended after $took s"
	elif [ "$status" -ne 0 ]; then
		failed="$failed
- $title: status $status"
	fi
}

{
	echo "# clgrad on $(uname -n)"
	echo
	date -u '+%Y-%m-%d %H:%M UTC'
	echo
	echo '```'
	uname -srm
	sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sort | uniq -c
	nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader 2>/dev/null
	echo '```'
} >"$report"

cd "$here" || exit 1
# The tests that take longest with every compiler, most of their time for compiling.
long='Conformance|TestStreamSameBits|TestTryTensor|TestSelfTestPasses|TestShards|TestBytesAndOtherLayers|TestInstructions'
wanted devices && run "Devices" ./clgrad devices
wanted check && run "Conformance suite" ./clgrad check --backend opencl
wanted quick && run "Quick tests of package gpu" env REQUIRE_OPENCL=1 ./gpu.test -test.v -test.short -test.skip "$long" -test.timeout 0
wanted instructions && run "What the OpenCL compiler takes" env REQUIRE_OPENCL=1 ./gpu.test -test.v -test.run '^TestInstructions$' -test.timeout 0
if wanted launches; then
	run "1000 launches of an empty kernel" ./gpu.test -test.run '^$' -test.bench Launch -test.benchtime 1000x
	run "Copies of 64 MB" ./gpu.test -test.run '^$' -test.bench Transfer -test.benchtime 20x
	run "Small batches, operation by operation and in few launches" ./gpu.test -test.run '^$' -test.bench SmallBatch -test.benchtime 0.3s
fi
networks="128 500,150"
# bench TITLE NETWORK FLAG…: an iteration of a network with these hidden layers.
bench() {
	title="An iteration of 784-$(echo "$2" | tr , -)-10$1" layers=$2
	shift 2
	run "$title" ./clgrad bench --backend opencl --layers "$layers" --profile "$@"
}
if wanted bench; then
	for layers in $networks; do
		bench ", before tuning" "$layers" --iterations 50
	done
	bench ": large products, before tuning" 2048,2048 --iterations 10
	bench " on batches of 4096 rows, before tuning" 128 --iterations 200 --batch-size 4096
fi
for precision in bf16x3 tf32 bf16; do
	wanted precision || continue
	# A device without the instructions says so, in the compiler's words, and that is its result.
	left=$(seconds)
	if [ "$left" -gt 0 ]; then
		bounded "$left" ./clgrad check --backend opencl --precision $precision --operation gradient >"$out/probe"
		if [ $? -eq 1 ] && [ -z "$over" ]; then
			{
				printf '\n## Precision %s: not on this device\n\n```\n' $precision
				cat "$out/probe"
				echo '```'
			} >>"$report"
			continue
		fi
	fi
	run "Conformance suite at $precision" ./clgrad check --backend opencl --precision $precision
	for layers in $networks 2048,2048; do
		bench " at $precision" "$layers" --iterations 20 --precision $precision
	done
	run "Recipe assignment at $precision" ./clgrad train --recipe assignment --backend opencl --precision $precision --out "$out/assignment-$precision-$(date +%s)"
done
rm -f "$out/probe"
# against TITLE TABLES: tables of the comparison.
against() {
	run "Against $1" ./compare -clgrad ./clgrad -peer ./peer.py -learner ./learner.py -python "$(command -v python3 || echo python3)" -gpu \
		-tables "$2" -iterations 50 -rounds 2 -limit 20
}
if wanted compare; then
	against "PyTorch and CuPy: full batches" iterations
	against "PyTorch: mini-batches" epochs,accuracy
fi
if wanted recipes; then
	run "Losses after 10 iterations: the device, and the CPU in float64" ./losses.sh "$out"
	for recipe in assignment biswas; do
		run "Recipe $recipe" ./clgrad train --recipe "$recipe" --backend opencl --out "$out/$recipe-$(date +%s)"
	done
fi
if wanted tune; then
	for layers in $networks; do
		run "Tuning 784-$(echo "$layers" | tr , -)-10" ./clgrad tune --layers "$layers" --seconds 120
		bench ", tuned" "$layers" --iterations 50
	done
fi
wanted test && run "All tests of package gpu" env REQUIRE_OPENCL=1 ./gpu.test -test.v -test.timeout 0

if [ -z "$failed$unfinished" ]; then
	echo "all done: $report" >&2
	exit
fi
{
	printf '\n## What is missing here\n'
	[ -z "$failed" ] || printf '\nFailed:\n%s\n' "$failed"
	[ -z "$unfinished" ] || printf '\n%s:\n%s\n' "$([ -n "$over" ] && echo "Ended by a signal" || echo "For lack of time")" "$unfinished"
} >>"$report"
printf 'not all is in %s:%s%s\n' "$report" "$failed" "$unfinished" >&2
exit 1
