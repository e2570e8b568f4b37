"""The Linux kernel: the only package that opens netlink sockets, enters namespaces or writes kernel parameters.

`observe` reads, `execute` is the one place that writes, `ready` waits for the kernel's own events. pyroute2 is
imported here alone, and only when there is something to write.
"""
