#!/bin/sh
# Puts Debian's OpenCL driver of Mesa into a folder of its own and prints nothing
# when it is there already:
#
#   install-mesa.sh DIR    DIR/vendors is then a value for OCL_ICD_VENDORS
#
# The package itself is not installed but unpacked: it would name its drivers in
# /etc/OpenCL/vendors, where every OpenCL program of the machine finds them. What
# it depends on is installed by apt-get; none of that is an OpenCL driver.
set -eu

dir=$1
[ -e "$dir/vendors/rusticl.icd" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "install-mesa: no apt-get here: Debian's package mesa-opencl-icd is expected" >&2
	exit 1
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "install-mesa: not root and no sudo here: run as root" >&2
		exit 1
	fi
	as_root=sudo
fi
export DEBIAN_FRONTEND=noninteractive
rm -rf "$dir"
mkdir -p "$dir/package"
{
	$as_root apt-get update -qq
	needs=$(apt-cache show --no-all-versions mesa-opencl-icd | sed -n 's/^Depends: //p')
	$as_root apt-get satisfy -y -qq --no-install-recommends "$needs"
	(cd "$dir/package" && apt-get download -qq mesa-opencl-icd)
} >&2
dpkg-deb -x "$dir"/package/mesa-opencl-icd_*.deb "$dir"
library=$(cd "$dir" && find "$PWD" -name libRusticlOpenCL.so.1)
if [ -z "$library" ]; then
	echo "install-mesa: the package mesa-opencl-icd has no Rusticl here (libRusticlOpenCL.so.1 is expected in it)" >&2
	exit 1
fi
mkdir "$dir/vendors.new"
echo "$library" >"$dir/vendors.new/rusticl.icd"
mv "$dir/vendors.new" "$dir/vendors"
