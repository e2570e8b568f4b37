#!/usr/bin/env bash
# Makes ready what run-in-kernel.sh needs for KERNEL (uml or qemu): installs missing packages, as root, and puts the rest
# into the cache. Says nothing when all is there.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/topology-reconciler
PATH=$PATH:/usr/sbin:/sbin

# The kernel itself, what loads its modules and what switches it off. Without them there is nothing to run.
programs="modprobe:kmod busybox:busybox-static ip:iproute2"
case ${KERNEL:-uml} in
uml)
    programs+=" linux.uml:user-mode-linux"
    preload=$cache/wide-registers.so
    if ! grep -qw amx_tile /proc/cpuinfo || [ "$preload" -nt "$here/wide-registers.c" ]; then preload=; fi
    [ -z "$preload" ] || programs+=" gcc:gcc gcc:libc6-dev"
    ;;
qemu) programs+=" qemu-system-x86_64:qemu-system-x86" ;;
*)
    echo "KERNEL is uml or qemu, not '$KERNEL'" >&2
    exit 2
    ;;
esac
# shellcheck disable=SC2086
"$here/../packages.sh" $programs

mkdir -p "$cache"
if [ "${KERNEL:-uml}" = qemu ]; then exec "$here/fetch-kernel.sh"; fi
if [ -n "$preload" ]; then
    gcc -O2 -shared -fPIC -o "$preload.$$" "$here/wide-registers.c"
    mv "$preload.$$" "$preload" # whole, or not at all
fi
