#!/usr/bin/env bash
# The main job on the real kernel, told in commands: plan, apply, use it, break it, repair it, destroy it.
#
# Everything happens in a private host: own network, own mounts, own /run. Nothing outside can be touched, and the
# kernel takes it all down when the script ends, however it ends. Root is not needed where ordinary users may make
# user namespaces. Exit codes: 0 all as expected, 1 something was not, 8 this machine cannot.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly TOPOLOGY=topologies/quickstart.yaml
export PATH="$PWD/.venv/bin:/usr/sbin:/sbin:$PATH"
export LC_ALL=C.UTF-8
ENTER='mount -n -t tmpfs none /run && ip link set lo up'

cannot() {
    printf 'demo: %s\n  %s\n' "$1" "$2" >&2
    exit 8
}

# The flags of unshare that work here. Tried, not guessed: kernels, containers and security modules differ.
private_host() {
    local flags problem
    for flags in '--mount --net' '--user --map-root-user --mount --net'; do
        if problem=$(unshare $flags sh -c "$ENTER" 2>&1); then
            echo "$flags"
            return
        fi
    done
    cannot "this machine gives no private network: ${problem//$'\n'/; }" \
        'run it as root; or allow user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone, AppArmor)'
}

say() { printf '\n# %s\n' "$*"; }

# run [-N] COMMAND…: shows the command, then runs it; the exit code must be N (0).
run() {
    local wanted=0 code=0
    if [[ $1 == -[0-9]* ]]; then wanted=${1#-} && shift; fi
    printf '\n$ %s\n' "$*"
    "$@" || code=$?
    if ((code)); then printf '(exit %d)\n' "$code"; fi
    if ((code != wanted)); then
        printf 'demo: expected exit code %d\n' "$wanted" >&2
        exit 1
    fi
}

story() {
    echo '# A private host: own network namespace, own /run. This machine is not touched.'
    run cat "$TOPOLOGY"
    run reconciler plan "$TOPOLOGY"
    run reconciler apply "$TOPOLOGY"
    run reconciler apply "$TOPOLOGY"

    say 'Plain Linux underneath: named namespaces, veth pairs, a bridge.'
    run ip netns list
    run ip -brief link show master quickstart-lan
    run ip netns exec quickstart.alice ping -q -c 1 -W 1 10.10.0.3

    say "Somebody breaks it: bob's cable is gone, and the gateway's address."
    run ip link delete quickstart.bob.eth0
    run ip address delete 10.10.0.1/24 dev quickstart-lan
    run -1 ip netns exec quickstart.alice ping -q -c 1 -W 1 10.10.0.3
    run -4 reconciler plan --exit-code "$TOPOLOGY"
    run reconciler apply "$TOPOLOGY"
    run ip netns exec quickstart.alice ping -q -c 1 -W 1 10.10.0.3

    say 'And away with it.'
    run reconciler destroy --yes "$TOPOLOGY"
    run ip -brief link
}

if [[ ${1-} == --inside ]]; then
    eval "$ENTER"
    export RECONCILER_STATE_DIR=/run/reconciler
    story
else
    for program in unshare mount ip ping reconciler; do
        command -v "$program" >/dev/null || cannot "the program '$program' is missing" \
            'install it; as root, `make demo` does (Debian: util-linux mount iproute2 iputils-ping)'
    done
    flags=$(private_host)
    exec unshare $flags "${BASH_SOURCE[0]}" --inside
fi
