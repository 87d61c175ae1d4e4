#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What `make demo` shows, run inside the virtual machine: the examples of ipsec_spigrp(8) to the
# letter, what they make of the table, two mistakes, and packets that go through a group to a gateway
# which knows nothing of klips. Ends with a failure if anything is not as it should be.

failed=0

say() {
	printf '\n# %s\n' "$*"
}

# Shows a command line, runs it, and compares its exit code with the one expected.
run_for() {
	expected=$1
	shift
	printf '$ %s\n' "$*"
	# busybox's shell has an ip and a ping of its own.
	sh -c 'ip() { /usr/sbin/ip "$@"; }; ping() { /usr/bin/ping "$@"; }; '"$*" >/tmp/said 2>&1
	code=$?
	cat /tmp/said
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
run modprobe klips
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

# Shows what leaves by eth0 while a command runs, which has to end with this code: each packet as
# tcpdump, which is told the keys, takes it apart.
on_the_wire() {
	# Not what the last one said, before this one has begun.
	rm -f /tmp/tcpdump
	tcpdump -Z root --immediate-mode -l -# -n -q -t -Q out -i eth0 -E "$keys" "$told" >/tmp/wire 2>/tmp/tcpdump &
	until grep -qs 'listening on' /tmp/tcpdump; do sleep 0.1; done
	run_for "$@"
	# The last packet is one that no eroute takes: when it is there, so is all that left before it, and
	# what leaves in clear is seen.
	/usr/bin/ping -q -c 1 -W 60 10.0.0.2 >/dev/null
	until grep -q "$last" /tmp/wire; do sleep 0.1; done
	kill -INT $!
	wait $!
	# Each packet has a number; lines without one are what is inside a second time.
	sed -n "/$last/d; s/^ *[0-9]\{1,\}  *//p" /tmp/wire >/tmp/packets
	echo 'On the wire:'
	sed 's/^/  /' /tmp/packets
}

# Compares how many packets were on the wire with how many there have to be.
packets() {
	found=$(grep -c . /tmp/packets)
	if [ "$found" -ne "$1" ] || [ "$(grep -c "$2" /tmp/packets)" -ne "$1" ]; then
		printf '*** %s packets, expected %s like %s; all that tcpdump says:\n' "$found" "$1" "$2"
		cat /tmp/wire /tmp/tcpdump
		failed=1
	fi
}

# Compares how many pings of the last command were answered with how many there have to be: of ping's
# exit code, one is enough.
answered() {
	if ! grep -q "^3 packets transmitted, $1 received" /tmp/said; then
		printf '*** expected %s of 3 to be answered\n' "$1"
		failed=1
	fi
}

# How many packets xfrm has dropped for want of SAs.
blocked() { awk '$1 == "XfrmOutPolBlock" { print $2 }' /proc/net/xfrm_stat; }

# All but what IPv6 tells its neighbours.
told='ip or (ip6 and not dst net ff02::/16 and not (icmp6[icmp6type] >= 133 and icmp6[icmp6type] <= 137))'
last='10.0.0.1 > 10.0.0.2: ICMP'
ping='ping -q -n -c 3 -i 0.2 -W 1'
keys="0x115@10.0.0.2 3des-cbc-hmac96:$enckey,0x235@3049:1::1 3des-cbc-hmac96:$enckey"
esp="enc 'cbc(des3_ede)' $enckey auth 'hmac(md5)' $authkey"
ah="auth 'hmac(md5)' $authkey"
here='src 10.0.0.1 dst 10.0.0.2'
here6='src 3049:1::2 dst 3049:1::1'

say 'Now packets. Another computer, gw2, and a wire to it; a host behind each of the two'
run ip netns add gw2
run ip link add eth0 type veth peer name eth0 netns gw2
run ip link set eth0 up
run ip addr add 10.0.0.1/24 dev eth0
run ip addr add 10.1.0.1/32 dev lo
run ip -n gw2 link set eth0 up
run ip -n gw2 link set lo up
run ip -n gw2 addr add 10.0.0.2/24 dev eth0
run ip -n gw2 addr add 10.2.0.1/32 dev lo
run ip route add 10.2.0.1 via 10.0.0.2 src 10.1.0.1
run ip -n gw2 route add 10.1.0.1 via 10.0.0.1 src 10.2.0.1
run $ping 10.2.0.1
answered 3

say 'gw2 knows nothing of klips: it is told of two SAs in the way of iproute2'
run "ip -n gw2 xfrm state add $here proto esp spi 0x115 reqid 1 mode tunnel replay-window 32 $esp"
run "ip -n gw2 xfrm state add $here proto ah spi 0x116 reqid 1 mode transport replay-window 32 $ah"
run "ip -n gw2 xfrm policy add dir in src 10.1.0.1 dst 10.2.0.1 \\
	tmpl $here proto esp reqid 1 mode tunnel tmpl $here proto ah reqid 1 mode transport"

say 'The SAs of the first example again, their group, and an eroute into it'
run ipsec spi --ip4 --af inet --edst gw2 --spi 0x113 --proto tun --src 10.0.0.1 --dst gw2
run ipsec spi --esp 3des-md5-96 --af inet --edst gw2 --spi 0x115 --proto esp --src 10.0.0.1 \
	--enckey "$enckey" --authkey "$authkey"
run ipsec spi --ah hmac-md5-96 --af inet --edst gw2 --spi 0x116 --proto ah --src 10.0.0.1 \
	--authkey "$authkey"
run ipsec spigrp inet gw2 0x113 tun inet gw2 0x115 esp inet gw2 0x116 ah
run ipsec eroute --add --src 10.1.0.1/32 --dst 10.2.0.1/32 --said tun.113@gw2
run ipsec eroute
on_the_wire 0 "$ping" 10.2.0.1
answered 3
packets 3 '10.0.0.1 > 10.0.0.2: AH(spi=0x00000116.*ESP(spi=0x00000115.*10.1.0.1 > 10.2.0.1'

say 'Ungrouped, nothing gets through, and nothing leaves in clear'
run ipsec spigrp inet gw2 0x115 esp
before=$(blocked)
# Without a source ping asks for one first, is refused, and sends nothing.
on_the_wire 1 "$ping" -I 10.1.0.1 10.2.0.1
answered 0
packets 0 .
if [ "$(blocked)" -ne $((before + 3)) ]; then
	printf '*** %s packets dropped, expected 3\n' $(($(blocked) - before))
	failed=1
fi

say 'Grouped again, they go on: no sequence number is used twice'
run ipsec spigrp inet gw2 0x113 tun inet gw2 0x115 esp inet gw2 0x116 ah
on_the_wire 0 "$ping" 10.2.0.1
answered 3
packets 3 'AH(spi=0x00000116,seq=0x[4-6],'
run ipsec eroute

say 'The same with IPv6: the SAs of the third example'
run ip addr add 3049:1::2/64 dev eth0 nodad
run ip addr add 3049:2::1/128 dev lo
run ip -n gw2 addr add 3049:1::1/64 dev eth0 nodad
run ip -n gw2 addr add 3049:3::1/128 dev lo
run ip route add 3049:3::1 via 3049:1::1 src 3049:2::1
run ip -n gw2 route add 3049:2::1 via 3049:1::2 src 3049:3::1
run "ip -n gw2 xfrm state add $here6 proto esp spi 0x235 reqid 1 mode tunnel replay-window 32 $esp"
run "ip -n gw2 xfrm state add $here6 proto ah spi 0x236 reqid 1 mode transport replay-window 32 $ah"
run "ip -n gw2 xfrm policy add dir in src 3049:2::1 dst 3049:3::1 \\
	tmpl $here6 proto esp reqid 1 mode tunnel tmpl $here6 proto ah reqid 1 mode transport"
run ipsec spi --ip6 --af inet6 --edst 3049:1::1 --spi 0x233 --proto tun --src 3049:1::2 \
	--dst 3049:1::1
run ipsec spi --esp 3des-md5-96 --af inet6 --edst 3049:1::1 --spi 0x235 --proto esp \
	--src 3049:1::2 --enckey "$enckey" --authkey "$authkey"
run ipsec spi --ah hmac-md5-96 --af inet6 --edst 3049:1::1 --spi 0x236 --proto ah \
	--src 3049:1::2 --authkey "$authkey"
run ipsec spigrp --said tun:233@3049:1::1 esp:235@3049:1::1 ah:236@3049:1::1
run ipsec eroute --add --eraf inet6 --src 3049:2::1/128 --dst 3049:3::1/128 --said tun:233@3049:1::1
run ipsec eroute
on_the_wire 0 "$ping" 3049:3::1
answered 3
packets 3 '3049:1::2 > 3049:1::1: AH(spi=0x00000236.*ESP(spi=0x00000235.*3049:2::1 > 3049:3::1'

say 'What the kernel has of it, and the end'
run ip -s xfrm state list dst 10.0.0.2
run ip xfrm policy
run ipsec eroute --clear
run ipsec spi --clear
run rmmod klips
run ip xfrm state
run ip xfrm policy


if [ "$failed" -ne 0 ]; then
	say 'Something was not as it should be: see above'
fi
exit "$failed"
