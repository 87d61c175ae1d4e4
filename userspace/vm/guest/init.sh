#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The guest's first process: sets the machine up, does the one job the harness
# asked for in /vm, reports on the control port how that went, and restarts,
# which ends QEMU.
#
# shellcheck disable=SC1091,SC2154

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root TERM="${TERM:-linux}"
. /vm/config # mode, out, and what the job is to find in its environment

mount -t proc proc /proc
read -r uptime _ </proc/uptime
mount -t sysfs sysfs /sys
grep -q devtmpfs /proc/mounts || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
if grep -q debugfs /proc/filesystems; then
	mount -t debugfs debugfs /sys/kernel/debug
fi
# Data races are looked for from here on: those of the kernel's own boot are not ours to find.
kcsan=/sys/kernel/debug/kcsan
[ ! -w $kcsan ] || echo on >$kcsan
ip link set lo up
hostname guest

finish() {
	reboot -f
	sleep 60
}

# Prints the device of the virtio port named $1; ports turn up some time after
# the driver has started.
port() {
	for _ in $(seq 100); do
		for port in /sys/class/virtio-ports/*; do
			if [ "$(cat "$port/name" 2>/dev/null)" = "$1" ]; then
				echo "/dev/${port##*/}"
				return
			fi
		done
		sleep 0.05
	done
	echo "vm: no port $1" >/dev/kmsg
	finish
}

if [ "$mode" = shell ]; then
	[ -z "$KLIPS_KO" ] || modprobe klips
	setsid cttyhack sh
	finish
fi

exec 3>"$(port klips.ctl)"
echo "ready uptime=$uptime" >&3
[ "$mode" != probe ] || finish

exec 4>"$(port "$out")"
kmemleak=/sys/kernel/debug/kmemleak
case $mode in
test)
	sh /vm/job </dev/null >&4 2>/dev/console 3>&- 4>&-
	code=$?
	# Two scans, because an object must be found twice, five seconds old, to be reported.
	if [ -w $kmemleak ] && echo scan 2>/dev/null >$kmemleak; then
		sleep 6
		echo scan >$kmemleak
		head -n 200 $kmemleak | while IFS= read -r line; do
			echo "kmemleak: $line" >/dev/kmsg
		done
	fi
	;;
demo)
	sh /vm/job </dev/null >&4 2>&4 3>&- 4>&-
	code=$?
	;;
run)
	exec 5>"$(port klips.err)"
	sh /vm/job </dev/null >&4 2>&5 3>&- 4>&- 5>&-
	code=$?
	;;
esac

# Not with "read": it reads byte by byte, and a sysctl only answers the first time.
tainted=$(cat /proc/sys/kernel/tainted)
echo "exit code=$code tainted=$tainted" >&3
sleep 0.1 # for the port, and for reports that come late
finish
