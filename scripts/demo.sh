#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What `make demo` shows, run inside the virtual machine: the examples of ipsec_spigrp(8) to the
# letter, what they make of the table, and two mistakes. Ends with a failure if anything is not as
# it should be.

failed=0

say() {
	printf '\n# %s\n' "$*"
}

# Shows a command line, runs it, and compares its exit code with the one expected.
run_for() {
	expected=$1
	shift
	printf '$ %s\n' "$*"
	sh -c "$*" 2>&1
	code=$?
	if [ "$code" -ne "$expected" ]; then
		printf '*** exit code %s, expected %s\n' "$code" "$expected"
		failed=1
	fi
}

run() {
	run_for 0 "$@"
}

list() {
	run ipsec spigrp
	run cat /proc/net/ipsec_spigrp
}

enckey=0x0123456789abcdef02468ace13579bdf0011223344556677
authkey=0x00112233445566778899aabbccddeeff

say 'Load the module: it registers the PF_KEY protocol family'
run uname -sr
run insmod "$KLIPS_KO"
run cat /proc/net/ipsec_version
run 'ls -l /proc/net/ | grep -E "ipsec|pf_key"'
run grep gw2 /etc/hosts

say 'Make three SAs to gw2: a tunnel, ESP and AH'
run ipsec spi --ip4 --af inet --edst gw2 --spi 0x113 --proto tun --src 10.0.0.1 --dst gw2
run ipsec spi --esp 3des-md5-96 --af inet --edst gw2 --spi 0x115 --proto esp --src 10.0.0.1 \
	--enckey "$enckey" --authkey "$authkey"
run ipsec spi --ah hmac-md5-96 --af inet --edst gw2 --spi 0x116 --proto ah --src 10.0.0.1 \
	--authkey "$authkey"
run ipsec spi
list

say 'First example of the manual page: group them, inside to outside'
run ipsec spigrp inet gw2 0x113 tun inet gw2 0x115 esp inet gw2 0x116 ah
list

say 'Any member ungroups them all, here the one in the middle'
run ipsec spigrp inet gw2 0x115 esp
list

say 'Second example: the same with SAIDs'
run ipsec spigrp --said tun.113@gw2 esp.115@gw2 ah.116@gw2
list
run ipsec spigrp --said esp.115@gw2
list

say 'Three SAs to an IPv6 gateway'
run ipsec spi --ip6 --af inet6 --edst 3049:1::1 --spi 0x233 --proto tun --src 3049:1::2 \
	--dst 3049:1::1
run ipsec spi --esp 3des-md5-96 --af inet6 --edst 3049:1::1 --spi 0x235 --proto esp \
	--src 3049:1::2 --enckey "$enckey" --authkey "$authkey"
run ipsec spi --ah hmac-md5-96 --af inet6 --edst 3049:1::1 --spi 0x236 --proto ah \
	--src 3049:1::2 --authkey "$authkey"

say 'Third example: SAIDs with colons are IPv6'
run ipsec spigrp --said tun:233@3049:1::1 esp:235@3049:1::1 ah:236@3049:1::1
list
run ipsec spigrp --said esp:235@3049:1::1
list

say 'Fourth example: the same in words'
run ipsec spigrp inet6 3049:1::1 0x233 tun inet6 3049:1::1 0x235 esp inet6 3049:1::1 0x236 ah
list
run ipsec spigrp inet6 3049:1::1 0x235 esp
list

say 'A mistake: an SA that does not exist. Nothing changes'
run_for 1 ipsec spigrp --said tun.113@gw2 esp.999@gw2
list

say 'Another: an SA that is part of a group'
run ipsec spigrp --said tun.113@gw2 esp.115@gw2
run_for 1 ipsec spigrp --said ah.116@gw2 esp.115@gw2
list

say 'Deleting a member deletes its group; then all that is left is cleared'
run ipsec spi --del --said esp.115@gw2
list
run ipsec spi --clear
list
run rmmod klips

if [ "$failed" -ne 0 ]; then
	say 'Something was not as it should be: see above'
fi
exit "$failed"
