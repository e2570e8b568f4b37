#!/usr/bin/env bash
# run-tests.sh PYTHON KERNELS [PYTEST ARGUMENTS]: runs the tests that say what they need in KERNELS second kernels at
# once, which share them out; KERNEL says which (run-in-kernel.sh). Results: build/KERNEL/junit-N.xml. Returns the worst
# of pytest's exit codes, 124 if a kernel was not through after LIMIT seconds.
set -euo pipefail
python=$1 kernels=$2
shift 2
arguments=${*@Q}
cd "$(dirname "$(readlink -f "$0")")/../.."
results=$PWD/build/${KERNEL:=uml}
export KERNEL
limit=2700 # seconds; a busy machine takes half an hour for what a free one does in three minutes
# Plug-ins and folders that have no part in it cost ten seconds there to be looked at.
variables="TEST_WARM=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1"
if [ "$KERNEL" = qemu ]; then
    limit=14400
    variables+=" TEST_SLOWNESS=10 PYTEST_TIMEOUT=1200"
fi
export LIMIT=${LIMIT:-$limit}
mkdir -p "$results"
jobs=$(mktemp -d "$results/run.XXXXXX") # several runs at once do not meet

pids=()
finish() {
    [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$jobs"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

color=no
if [ -t 1 ]; then color=yes; fi
for part in $(seq "$kernels"); do
    mkdir "$jobs/$part"
    command="TEST_PART=$part/$kernels $variables $python -m pytest -p pytest_timeout"
    command+=" -q -p no:cacheprovider --color=$color -m 'needs and not slow' --junitxml=/run/job/junit.xml"
    command+=" tests/kernel tests/cli tests/example $arguments"
    # The first is watched, the others are shown when they are through.
    if [ "$part" = 1 ]; then exec 3>&1; else exec 3>"$jobs/$part/log"; fi
    JOB=$jobs/$part tests/vm/run-in-kernel.sh "$command" >&3 2>&1 &
    pids+=($!)
done

worst=0 empty=0
for part in $(seq "$kernels"); do
    code=0
    wait "${pids[part - 1]}" || code=$?
    if [ "$part" != 1 ]; then cat "$jobs/$part/log"; fi
    # 5 is "no test was selected": with few of them that is one part's fate, but not that of all.
    if [ "$code" = 5 ]; then empty=$((empty + 1)); elif [ "$code" -gt "$worst" ]; then worst=$code; fi
done
pids=()
rm -f "$results"/junit-*.xml
for part in $(seq "$kernels"); do
    if [ -s "$jobs/$part/junit.xml" ]; then mv "$jobs/$part/junit.xml" "$results/junit-$part.xml"; fi
done
if [ "$empty" = "$kernels" ]; then exit 5; fi
exit "$worst"
