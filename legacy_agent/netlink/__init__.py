"""The kernel by netlink: links, forwarding database, nftables, events. The only package that knows pyroute2."""
