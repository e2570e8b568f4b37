#!/bin/busybox sh
# What the stock kernel of an emulated machine starts first: mounts the host's root, read-only, and goes on in it with
# init.sh, as a user-mode kernel does from the start. In fetch-kernel.sh's archive, with the modules that this takes.
busybox mount -t proc proc /proc
for module in /modules/*; do busybox insmod "$module"; done
for word in $(busybox cat /proc/cmdline); do
    case $word in init=*) init=${word#init=} ;; esac
done
busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose root /host
busybox umount /proc
exec busybox switch_root /host "$init"
