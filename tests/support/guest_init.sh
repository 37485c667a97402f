#!/bin/bash
# Pid 1 of a User Mode Linux guest whose root is the host's tree, read-only. Environment from the kernel command line:
# BED_DIRECTORY is the one directory shared with the host for writing, COMMAND_FILE what to run.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run LANG=C.UTF-8 TMPDIR=/run PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mkdir -p /run/netns /run/lock /run/modules/lib "$BED_DIRECTORY"
mount -t hostfs none "$BED_DIRECTORY" -o "$BED_DIRECTORY"
ip link set dev lo up
# The modules are not where modprobe looks on a host that runs another kernel; the host's tree stays as it is.
ln -s /usr/lib/uml/modules /run/modules/lib/modules
printf '#!/bin/sh\nexec /sbin/modprobe -d /run/modules "$@"\n' >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
/run/modprobe -a bridge 8021q ip_gre vxlan veth nf_tables
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
/bin/bash "$COMMAND_FILE" </dev/null
echo "the guest's command ended with status $?"
poweroff -f
