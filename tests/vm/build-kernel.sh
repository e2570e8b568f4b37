#!/usr/bin/env bash
# Builds a user-mode kernel from Debian's own kernel source, with everything of kernel.config built in, and puts it
# where run-in-kernel.sh looks first. Debian's ready one lacks WireGuard, xfrm interfaces, and most families of nftables.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/topology-reconciler
source=linux-source-6.1

"$here/../packages.sh" make:make gcc:gcc flex:flex bison:bison bc:bc xz:xz-utils

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # a second one waits, and builds again: nothing here is worth a guess whether the first is good enough
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

apt-get download -qq -o APT::Sandbox::User=root $source # its own user may not write here
dpkg-deb --extract $source*.deb .
tar --extract --xz --file usr/src/$source.tar.xz
cd $source
make ARCH=um defconfig >/dev/null
scripts/kconfig/merge_config.sh -m .config "$here/kernel.config" >/dev/null 2>&1
make ARCH=um olddefconfig >/dev/null
make ARCH=um -j"${JOBS:-2}" linux >"$work/log" 2>&1 || {
    tail -n 30 "$work/log" >&2
    exit 1
}
strip -o "$work/linux-uml" linux
mv "$work/linux-uml" "$cache/linux-uml" # whole, or not at all
echo "built $cache/linux-uml: Linux $(make --silent ARCH=um kernelrelease)"
