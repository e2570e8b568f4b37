#!/usr/bin/env bash
# run.sh PYTHON [SPEC…]: records what Docker and the reconciler make of the same specifications, by default of all, in
# tests/differential/recorded.
#
# It happens in a second kernel, which has everything and is thrown away. Only what needs several hosts runs on this one,
# as root: a swarm gives up waiting for itself in a kernel that slow. There too all of it is in private namespaces, the
# engine's files included (see hosts.py). Nothing is installed; Debian's packages stay in the cache.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
python=$1
shift
if [ $# = 0 ]; then
    for file in "$here"/specs/*.yaml; do set -- "$@" "$(basename "$file" .yaml)"; done
fi
slow=() quick=()
for name in "$@"; do
    if grep -q '^hosts:' "$here/specs/$name.yaml"; then quick+=("$name"); else slow+=("$name"); fi
done

cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/topology-reconciler
if [ ${#slow[@]} != 0 ] && [ ! -x "$cache/linux-uml" ]; then
    echo "make differential: needs the second kernel that can do more: run make vm-kernel once" >&2
    exit 1
fi
if [ ${#quick[@]} != 0 ] && [ "$(id -u)" != 0 ]; then
    echo "make differential: not root, so these are left out: ${quick[*]}" >&2
    quick=()
fi

# The engine with its parts, and the libraries that Debian's base system lacks.
packages="docker.io containerd runc tini busybox-static iptables nftables libnftables1 libnftnl11 libmnl0 libxtables12
    libip4tc2 libip6tc2 libjansson4 libnfnetlink0 libnetfilter-conntrack3 libedit2 libdevmapper1.02.1 libseccomp2"
if [ ! -d "$cache/docker" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/docker.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/debs" "$work/root"
    # shellcheck disable=SC2086
    (cd "$work/debs" && apt-get download -qq -o APT::Sandbox::User=root $packages)
    for package in "$work"/debs/*.deb; do dpkg-deb --extract "$package" "$work/root"; done
    for top in bin sbin lib; do # as on a system whose /bin is a link to /usr/bin
        [ ! -d "$work/root/$top" ] || cp -a "$work/root/$top/." "$work/root/usr/$top/"
    done
    for name in iptables ip6tables; do # which of the two is a choice at installation
        ln -s $name-nft "$work/root/usr/sbin/$name"
        ln -s $name-nft-save "$work/root/usr/sbin/$name-save"
    done
    mv "$work/root" "$cache/docker" # whole, or not at all
    rm -rf "$work"
fi

export ENGINE=$cache/docker
cd "$here/../.."
if [ ${#quick[@]} != 0 ]; then "$python" -m tests.differential.record "$here/recorded" "${quick[@]}"; fi
if [ ${#slow[@]} = 0 ]; then exit 0; fi
job=$(mktemp -d "${TMPDIR:-/tmp}/differential.XXXXXX")
trap 'rm -rf "$job"' EXIT
code=0
JOB=$job LIMIT=${LIMIT:-3600} MEMORY=${MEMORY:-3G} tests/vm/run-in-kernel.sh \
    "ENGINE=${ENGINE@Q} TEST_WARM=1 ${python@Q} -m tests.differential.record /run/job ${slow[*]}" || code=$?
for file in "$job"/*.yaml; do [ ! -e "$file" ] || cp "$file" "$here/recorded/"; done
exit "$code"
