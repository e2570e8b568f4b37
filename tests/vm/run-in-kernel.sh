#!/usr/bin/env bash
# run-in-kernel.sh COMMAND...: runs a shell command as root in another kernel, in the same directory, and returns its exit
# code. The files are this machine's, through an overlay that is thrown away; only $JOB is kept. Needs neither root nor KVM.
#
# KERNEL uml: user-mode Linux, an ordinary program (default: the one of `make vm-kernel`, else Debian's; or what UML names)
#        qemu: the kernel that Debian's users have, in an emulated machine: slow (of fetch-kernel.sh)
# JOB    a directory; what the command leaves in /run/job arrives there
# LIMIT  seconds after which the kernel is ended (default 900); the exit code is 124 then
# MEMORY of the kernel, taken as it is used (default 1500M)
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/topology-reconciler

# Short, because a user-mode kernel puts a socket there, whose path has a limit.
private=$(mktemp -d /var/tmp/kernel.XXXXXX)
kernel=
finish() {
    [ -z "$kernel" ] || kill "$kernel" 2>/dev/null || true
    wait
    rm -rf "$private"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
missing() {
    echo "run-in-kernel: no kernel: $1" >&2
    exit 1
}

job=${JOB:-$private}
rm -f "$job/exit-code"
printf 'exec 2>&1\ncd %q || exit 1\n%s\n' "$PWD" "$*" >"$job/command.sh"

# What both are told: who is PID 1, and that the devices that drivers make unasked are not wanted.
parameters=(quiet loglevel=1 init="$here/init.sh" dummy.numdummies=0 bonding.max_bonds=0 ifb.numifbs=0)
case ${KERNEL:-uml} in
uml)
    program=${UML:-$cache/linux-uml}
    [ -n "${UML:-}" ] || [ -x "$program" ] || program=$(command -v linux.uml) ||
        missing "install user-mode-linux, or run make vm-kernel"
    preload=()
    if grep -qw amx_tile /proc/cpuinfo; then preload=(env LD_PRELOAD="$cache/wide-registers.so"); fi # its source says why
    # stdin of the console is "null", as it cannot poll a file.
    machine=("${preload[@]}" "$program" rootfstype=hostfs rootflags=/ ro mem="${MEMORY:-1500M}" con=null con0=null,fd:1
        uml_dir="$private/" umid=u "${parameters[@]}" modules=/usr/lib/uml/modules job="$job")
    ;;
qemu)
    program=qemu-system-x86_64
    if ! [ -e "$cache/stock/vmlinuz" ] || ! command -v $program >/dev/null; then
        missing "run make test-vm KERNEL=qemu as root once"
    fi
    # "max" has the source of random numbers without which a boot waits. A panic is a reboot, and that is the end.
    parameters+=(console=ttyS0 panic=-1 mitigations=off tsc=reliable no_timer_check modules="$cache/stock/lib/modules")
    machine=($program -accel tcg,thread=multi -cpu max -machine q35 -smp "${CPUS:-2}" -m "${MEMORY:-1500M}"
        -nodefaults -display none -serial stdio -no-reboot
        -kernel "$cache/stock/vmlinuz" -initrd "$cache/stock/initramfs" -append "${parameters[*]}"
        -fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap
        -device virtio-9p-pci,fsdev=root,mount_tag=root
        -fsdev local,id=job,path="$job",security_model=none -device virtio-9p-pci,fsdev=job,mount_tag=job)
    ;;
*) missing "KERNEL is uml or qemu, not $KERNEL" ;;
esac

# The kernel is this one process (its children end with it), in a process group of its own: Ctrl-C is passed on by us.
# The console is a terminal: it ends lines with CR LF, and says good-bye when it powers off.
mkfifo "$private/console"
sed -u -e 's/\r$//' -e '/^\(\[[ 0-9.]*\] \)\?reboot: /d' <"$private/console" &
timeout --kill-after=5 "${LIMIT:-900}" "${machine[@]}" </dev/null >"$private/console" 2>"$private/errors" &
kernel=$!
code=0
wait "$kernel" || code=$?
kernel=
wait # for what the console still has to say
if [ -s "$job/exit-code" ]; then exit "$(cat "$job/exit-code")"; fi
if [ "$code" = 124 ] || [ "$code" = 137 ]; then
    echo "run-in-kernel: ended after ${LIMIT:-900} s" >&2
    exit 124
fi
cat "$private/errors" >&2
echo "run-in-kernel: $program did not come up, or did not get to the end (exit code $code)" >&2
exit 1
