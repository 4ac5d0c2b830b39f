#!/bin/sh
# Prints the losses of each recipe's first iterations, the OpenCL device's and the CPU's in float64, and how
# far they are apart. Fails where that is more than rounding.
#
#   ./losses.sh DIR   keeps the runs in DIR; clgrad stands beside this script
set -u
trap 'exit 143' TERM # once the command that runs has ended
cd "$(dirname "$0")" || exit 1
out=$1/losses-$$
mkdir -p "$out" || exit 1
for recipe in assignment nn-class iiakshat chang biswas; do
	for backend in opencl cpu64; do
		./clgrad train --recipe $recipe --backend $backend --iterations 10 --log-every 10 --json --out "$out/$recipe-$backend" >"$out/lines" || exit 1
		sed -n '/"iteration":10/s/.*"loss":\([^,}]*\).*/\1/p' "$out/lines" >"$out/$backend"
	done
	echo "$recipe $(cat "$out/opencl" "$out/cpu64" | tr '\n' ' ')" |
		awk 'NF != 3 { bad = 1 } { d = $2 - $3; if (d < 0) d = -d; printf "%-12s %.9f %.9f apart by %.1e of it\n", $1, $2, $3, d / $3; if (d > 1e-5 * $3) bad = 1 } END { exit bad }' || exit 1
done
