#!/bin/sh
# Everything that says how clgrad does on this machine's OpenCL devices, in one
# report file: devices, the tests of package gpu (the conformance suite on every
# device), clgrad check, tune and bench, the same at the precisions of tensor cores,
# the comparison with PyTorch and CuPy where there is a Python with them, the losses of
# all recipes beside those of the CPU in float64, and two recipes to their end.
#
#   ./run.sh [DIR]   writes DIR/report.md (default: report beside this script)
#
# `make portable` collects what it needs in .build/portable: copy that folder to
# a Linux machine with a processor of the same architecture and a driver. Nothing is installed and no network is needed.
#
# STEPS chooses among devices test check tune bench precision compare recipes (default: all);
# LIMIT is how many seconds a command may take (default 1800).
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/report}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
report=$out/report.md
steps=${STEPS:-devices test check tune bench precision compare recipes}
limit=${LIMIT:-1800}
failed=""

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

# run TITLE COMMAND…: the command with its output, status and time, in the report.
run() {
	title=$1
	shift
	echo "$title" >&2
	begin=$(date +%s)
	{
		printf '\n## %s\n\n```\n$ %s\n' "$title" "$*" | sed "s|$here/||g"
		case $1 in
		losses) "$@" 2>&1 ;;
		*) timeout "$limit" "$@" 2>&1 ;;
		esac
		status=$?
		printf '```\n\nStatus %d after %d s.\n' "$status" $(($(date +%s) - begin))
	} >>"$report"
	[ "$status" -eq 0 ] || failed="$failed; $title"
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
wanted devices && run "Devices" ./clgrad devices
wanted test && run "Tests of package gpu" env REQUIRE_OPENCL=1 ./gpu.test -test.v -test.timeout 0
wanted check && run "Conformance suite" ./clgrad check --backend opencl
for layers in 128 500,150; do
	wanted bench && run "An iteration of 784-$layers-10, before tuning" ./clgrad bench --backend opencl --layers "$layers" --iterations 50 --profile
	wanted tune && run "Tuning 784-$layers-10" ./clgrad tune --layers "$layers" --seconds 120
	wanted bench && wanted tune && run "An iteration of 784-$layers-10, tuned" ./clgrad bench --backend opencl --layers "$layers" --iterations 50 --profile
done
for precision in bf16x3 tf32 bf16; do
	wanted precision || continue
	# A device without the instructions says so, in the compiler's words, and that is its result.
	if ! ./clgrad check --backend opencl --precision $precision --operation gradient >"$out/probe" 2>&1; then
		{
			printf '\n## Precision %s: not on this device\n\n```\n' $precision
			cat "$out/probe"
			echo '```'
		} >>"$report"
		continue
	fi
	run "Conformance suite at $precision" ./clgrad check --backend opencl --precision $precision
	for layers in 128 500,150; do
		run "An iteration of 784-$layers-10 at $precision" ./clgrad bench --backend opencl --layers "$layers" --iterations 50 --profile --precision $precision
	done
	run "Recipe assignment at $precision" ./clgrad train --recipe assignment --backend opencl --precision $precision --out "$out/assignment-$precision-$(date +%s)"
done
rm -f "$out/probe"
if wanted compare; then
	run "Against PyTorch and CuPy" ./compare -clgrad ./clgrad -peer ./peer.py -python "$(command -v python3 || echo python3)" -gpu -iterations 50
fi
# losses prints the losses of each recipe's first iterations, the device's and the CPU's,
# and how far they are apart.
losses() {
	for recipe in assignment nn-class iiakshat chang biswas; do
		for backend in opencl cpu64; do
			./clgrad train --recipe $recipe --backend $backend --iterations 10 --log-every 10 --json --out "$out/losses-$recipe-$backend-$$" >"$out/losses" || return 1
			sed -n '/"iteration":10/s/.*"loss":\([^,}]*\).*/\1/p' "$out/losses" >"$out/losses.$backend"
		done
		echo "$recipe $(cat "$out/losses.opencl" "$out/losses.cpu64" | tr '\n' ' ')" |
			awk 'NF != 3 { bad = 1 } { d = $2 - $3; if (d < 0) d = -d; printf "%-12s %.9f %.9f apart by %.1e of it\n", $1, $2, $3, d / $3; if (d > 1e-5 * $3) bad = 1 } END { exit bad }' || return 1
	done
	rm -f "$out/losses" "$out/losses.opencl" "$out/losses.cpu64"
}
if wanted recipes; then
	run "Losses after 10 iterations: the device, and the CPU in float64" losses
	for recipe in assignment biswas; do
		run "Recipe $recipe" ./clgrad train --recipe "$recipe" --backend opencl --out "$out/$recipe-$(date +%s)"
	done
fi

if [ -n "$failed" ]; then
	printf '\nFailed%s.\n' "$failed" >>"$report"
	echo "failed$failed: see $report" >&2
	exit 1
fi
echo "all done: $report" >&2
