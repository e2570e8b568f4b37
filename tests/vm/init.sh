#!/bin/sh
# PID 1 of the second kernel: makes a usable root out of the host's files, runs the job, stores its exit code, powers off.
#
# "/" is the host's root, read-only: by hostfs in a user-mode kernel, by 9p in an emulated machine. A tmpfs overlay above
# it takes every write, so nothing gets through.
# Only /proc, /sys, /dev and /run are replaced: the checkout and the virtual environment may lie anywhere else, /tmp included.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8

mount -t proc proc /proc
for word in $(cat /proc/cmdline); do
    case $word in
    job=*) job=${word#job=} ;;
    modules=*) modules=${word#modules=}/$(uname -r) ;;
    esac
done
grep -qw overlay /proc/filesystems || insmod "$modules/kernel/fs/overlayfs/overlay.ko"

mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
root=/mnt/root
if ! mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay $root; then
    echo "the second kernel cannot stack an overlay on the host's root"
    busybox poweroff -f
fi
mount -t proc proc $root/proc
mount -t sysfs sysfs $root/sys
mount -t tmpfs -o mode=755 tmpfs $root/run
mount -t devtmpfs devtmpfs $root/dev
mkdir -p $root/dev/pts $root/dev/shm $root/run/netns $root/run/job $root/run/old $root/lib/modules
mount -t devpts devpts $root/dev/pts
mount -t tmpfs tmpfs $root/dev/shm
ln -sfn /proc/self/fd $root/dev/fd
for number in 0:stdin 1:stdout 2:stderr; do
    ln -sfn "/proc/self/fd/${number%:*}" "$root/dev/${number#*:}"
done
[ -d "$modules" ] && ln -sfn "$modules" "$root/lib/modules/$(uname -r)"
# The one place that is written through to the host.
if [ -n "$job" ]; then
    mount -t hostfs none $root/run/job -o "$job"
else
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 job $root/run/job
fi

# Otherwise each new namespace holds gre0, tunl0, sit0 and the like as soon as the modules are there.
echo 2 >/proc/sys/net/core/fb_tunnels_only_for_init_net
ip link set lo up

# Not chroot alone: the kernel starts modprobe in the root of PID 1, which must be the one with the modules.
cd $root && pivot_root . run/old
# A module here, and nothing asks for it until the first IPv6 socket; on a host it is always there.
chroot . modprobe -q ipv6
chroot . /bin/sh /run/job/command.sh </dev/null
echo $? >/run/job/exit-code
sync
busybox poweroff -f
