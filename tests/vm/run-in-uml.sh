#!/usr/bin/env bash
# run-in-uml.sh COMMAND...: runs a shell command as root in another kernel (user-mode Linux), in the same directory, and
# returns its exit code. The files are this machine's, through an overlay that is thrown away; only $JOB is kept.
#
# UML    the kernel: an ordinary program, needs neither root nor KVM (default: the one of `make vm-kernel`, else Debian's)
# JOB    a directory; what the command leaves in /run/job arrives there
# LIMIT  seconds after which the kernel is ended (default 900); the exit code is 124 then
# MEMORY of the kernel, taken as it is used (default 1500M)
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")

built=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/topology-reconciler/linux-uml
kernel=${UML:-$([ -x "$built" ] && echo "$built" || command -v linux.uml)} || {
    echo "run-in-uml: no kernel: install user-mode-linux, or run make vm-kernel" >&2
    exit 1
}

# Short, because the kernel puts a socket there, whose path has a limit.
private=$(mktemp -d /var/tmp/uml.XXXXXX)
job=${JOB:-$private}
rm -f "$job/exit-code"
printf 'exec 2>&1\ncd %q || exit 1\n%s\n' "$PWD" "$*" >"$job/command.sh"

# The kernel is this one process (its children end with it), in a process group of its own: Ctrl-C is passed on by us.
mkfifo "$private/console"
uml=
finish() {
    [ -z "$uml" ] || kill "$uml" 2>/dev/null || true
    wait
    rm -rf "$private"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The console is a terminal: it ends lines with CR LF, and says good-bye when it powers off.
sed -u -e 's/\r$//' -e '/^reboot: /d' <"$private/console" &
# stdin of the console is "null", as it cannot poll a file. The devices that built-in drivers make unasked are not wanted.
timeout --kill-after=5 "${LIMIT:-900}" "$kernel" \
    rootfstype=hostfs rootflags=/ ro mem="${MEMORY:-1500M}" con=null con0=null,fd:1 quiet loglevel=1 \
    init="$here/uml-init.sh" job="$job" uml_dir="$private/" umid=u \
    dummy.numdummies=0 bonding.max_bonds=0 ifb.numifbs=0 \
    </dev/null >"$private/console" 2>/dev/null &
uml=$!
code=0
wait "$uml" || code=$?
uml=
wait # for what the console still has to say
if [ -s "$job/exit-code" ]; then exit "$(cat "$job/exit-code")"; fi
if [ "$code" = 124 ] || [ "$code" = 137 ]; then
    echo "run-in-uml: ended after ${LIMIT:-900} s" >&2
    exit 124
fi
echo "run-in-uml: $kernel did not come up, or did not get to the end (exit code $code)" >&2
exit 1
