#!/bin/sh
# Runs a command as two ranks in two network namespaces of this machine, each with a host name
# and an address of its own: they reach each other over TCP alone, as two machines do. For root on
# Linux, with iproute2 and Open MPI.
#
#	go build -tags mpi -o bin/clgrad-mpi ./cmd/clgrad
#	cmd/mpi-namespaces.sh bin/clgrad-mpi train --backend cpu --iterations 5
set -eu

# As the first machine, or as mpirun's way to another one: an address, then a command line.
if [ "${1:-}" = --at ]; then
	address=$2
	shift 2
	exec ip netns exec "clgrad-$address" unshare --uts sh -c 'hostname "node-${0##*.}"; exec sh -c "$*"' "$address" "$@"
fi
[ $# -gt 0 ] || { echo "usage: $0 PROGRAM ARGUMENT…" >&2; exit 2; }

clean() {
	ip netns del clgrad-10.201.77.1 2>/dev/null || true
	ip netns del clgrad-10.201.77.2 2>/dev/null || true
}
trap clean EXIT
clean
ip netns add clgrad-10.201.77.1
ip netns add clgrad-10.201.77.2
ip link add clgrad1 netns clgrad-10.201.77.1 type veth peer name clgrad2 netns clgrad-10.201.77.2
for n in 1 2; do
	ip -n "clgrad-10.201.77.$n" addr add "10.201.77.$n/24" dev "clgrad$n"
	ip -n "clgrad-10.201.77.$n" link set "clgrad$n" up
	ip -n "clgrad-10.201.77.$n" link set lo up
done
ip netns exec clgrad-10.201.77.1 unshare --uts sh -c 'hostname node-1; exec "$@"' sh \
	mpirun --allow-run-as-root --bind-to none -n 2 --host 10.201.77.1:1,10.201.77.2:1 \
	--mca plm_rsh_agent "$(realpath "$0") --at" --mca btl tcp,self \
	--mca btl_tcp_if_include 10.201.77.0/24 --mca oob_tcp_if_include 10.201.77.0/24 "$@"
