#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Has apt install both packages in a Debian 13 with systemd, where DKMS builds the module for Debian's
# own kernel; boots that in QEMU, and looks whether klips.service does what it says, and whether the
# other end of a connection, in a network namespace, answers.  Takes root.
#
#   scripts/service-test.sh
#
# "make tools" and "scripts/kernel.sh build --config debian" make what that takes.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$scripts/checks.sh"
# shellcheck source-path=SCRIPTDIR source=archive.sh
. "$scripts/archive.sh"

# The mounts vanish with this process.
if [[ -z ${1:-} && $EUID -eq 0 && ${own_mounts:-} != yes ]]; then
	own_mounts=yes exec unshare --mount --propagation private "${BASH_SOURCE[0]}"
fi

project=${scripts%/*}
# What the batch files make, as /proc lists it.
readonly want='tun0x113@192.0.2.2 esp0x115@192.0.2.2
tun0x117@192.0.2.2'
readonly want_eroutes='10.0.1.0/24 -> 10.0.2.0/24 => tun0x113@192.0.2.2'
# What a small Debian takes besides; what klips-dkms depends on is among it, and what a kernel's headers do.
readonly packages=systemd-sysv,kmod,cpio,iproute2,iputils-ping,dkms,openssl,rustc,libc6-dev,pahole
# What ipsec.conf adds to that.
readonly want_conn='tun0x201@192.0.2.1 esp0x203@192.0.2.1
tun0x200@192.0.2.2 esp0x202@192.0.2.2'
readonly want_up='10.3.0.0/16 -> 10.4.0.0/16 => tun0x200@192.0.2.2'
readonly want_routed='10.3.0.0/16 -> 10.4.0.0/16 => %drop'
# Before there was an address.
readonly want_held='10.3.0.0/16 -> 10.4.0.0/16 => %hold
10.4.0.0/16 -> 10.3.0.0/16 => %hold'

# --- Inside --------------------------------------------------------------------

# What /proc lists, without the blanks at the ends of lines.
groups() { sed 's/ *$//' /proc/net/ipsec_spigrp; }
# Without how many packets they took.
eroutes() { awk '{ print $2, $3, $4, $5, $6 }' "${1:-/proc/net/ipsec_eroute}" | sort; }
state() { systemctl show --value -p "$1" "${2:-klips}"; }
# What klips-manual.service does comes after what systemctl waits for.
settled() { systemctl start klips-manual; }
# Why not, if it is not.
is_up() {
	[[ $(state ActiveState "$1") == active ]] || {
		journalctl -b -o cat -u "$1"
		return 1
	}
}
# Pings the network behind the other end by way of ipsec0, whose routes go with it.
pings() {
	ip route replace 10.4.0.0/16 dev ipsec0 src 10.3.0.1 || return
	ping -n -q -c 3 -i 0.2 -W 2 10.4.0.1
}
# The connection at its other end.
there() { ip netns exec east klips manual --config /etc/klips/ipsec.conf "$1" c; }
# How many packets that eroute took.
counted() { awk '$2 == "10.3.0.0/16" { print $1 }' /proc/net/ipsec_eroute; }
is_loaded() { grep -q '^klips ' /proc/modules; }

# before UNIT UNIT: whether one was up before the other was.
before() {
	local times
	mapfile -t times < <(systemctl show --value -p ActiveEnterTimestampMonotonic "$@" | sed '/^$/d')
	printf '%s: %s\n%s: %s\n' "$1" "${times[0]}" "$2" "${times[1]}"
	((times[0] > 0 && times[0] < times[1]))
}

inside() {
	trap 'finish_checks $?' EXIT
	# Systemd leaves the cursor somewhere.
	echo
	check "systemd finds nothing wrong with it" same "$(systemd-analyze verify --man=no klips.service klips-tncfg.service klips-manual.service 2>&1)" ''
	check "it ran at boot" same "$(state ActiveState) $(state Result)" 'active success'
	check "the module is loaded" is_loaded
	check "it is the one that DKMS has built" has "$(modinfo -F filename klips)" /updates/dkms/klips.ko
	settled
	check "connections came up" same "$(state ActiveState klips-manual) $(state Result klips-manual)" 'active success'
	check "SAs and groups are there" same "$(groups)" "$want"$'\n'"$want_conn"
	check "and eroutes" same "$(eroutes)" "$want_eroutes"$'\n'"$want_up"
	check "before there is a network" before klips.service network-pre.target
	check "the address came after that" before network-pre.target test-address.service
	check "and connections after the address" before test-address.service klips-manual.service
	check "the interface came up" is_up klips-tncfg
	check "the interface before them" before klips-tncfg.service klips-manual.service
	check "it is attached" has "$(cat /proc/net/ipsec_tncfg)" 'ipsec0 -> w0 mtu='
	check "the other end brings the connection up, too" there --up
	check "it answers" pings
	check "through the SAs" same "$(counted)" 3
	check "the tables are right" klips verify
	check "their packets were dropped meanwhile" same "$(eroutes /run/eroutes-before)" "$want_eroutes"$'\n'"$want_held"

	check "starts anew" systemctl restart klips
	settled
	check "with the same SAs and groups" same "$(groups)" "$want"$'\n'"$want_conn"
	check "and the same eroutes" same "$(eroutes)" "$want_eroutes"$'\n'"$want_up"
	check "the other end does so, too" there --down
	check "and is up again" there --up
	check "and answers" pings

	check "connections go down alone" systemctl stop klips-manual
	check "nothing gets through then" fails pings
	check "and their packets are dropped" same "$(groups) $(eroutes)" "$want $want_eroutes"$'\n'"$want_routed"
	settled
	sed -i 's/espauthkey=0x00/espauthkey=0x/' /etc/klips/ipsec.conf
	check "fails for a key that is too short" fails systemctl restart klips-manual
	check "says where" has "$(journalctl -b -o cat -u klips-manual)" '/etc/klips/ipsec.conf:9: espauthkey: '
	sed -i 's/espauthkey=0x/espauthkey=0x00/' /etc/klips/ipsec.conf
	settled

	check "stops" systemctl stop klips
	check "the tables are empty" same "$(groups) $(eroutes)" ' '
	check "no interface is attached" fails grep -v NULL /proc/net/ipsec_tncfg
	check "the module stays" is_loaded

	cp /etc/klips/spigrp.batch /root
	echo '--said esp.115@192.0.2.2 ah.999@192.0.2.2' >>/etc/klips/spigrp.batch
	check "fails if a group can't be made" fails systemctl start klips
	check "systemd knows" same "$(state ActiveState) $(state Result)" 'failed exit-code'
	check "and says why" has "$(journalctl -b -o cat -u klips)" '/etc/klips/spigrp.batch:2: '
	check "what there was before is left alone" has "$(groups)" "$want"
	check "eroutes are there all the same, and drop what has no SAs" has "$(eroutes)" "$want_eroutes"
	check "connections, too" has "$(eroutes)" '10.3.0.0/16 -> 10.4.0.0/16 => '
	# Connections come up all the same, somewhat later.
	settled
	cp /root/spigrp.batch /etc/klips
	klips spi --clear
	klips eroute --clear
	check "starts when that is mended" systemctl restart klips
	settled
	check "they are there again" same "$(groups)" "$want"$'\n'"$want_conn"

	systemctl stop klips
	# The other end's eroutes would keep the module.
	there --down
	there --unroute
	rmmod klips
	check "loads the module itself" systemctl start klips
	settled
	check "and makes SAs and groups" same "$(groups)" "$want"$'\n'"$want_conn"
}

# --- Outside -------------------------------------------------------------------

# A small Debian 13 with systemd.
make_base() {
	[[ ! -d $base ]] || return 0
	command -v debootstrap >/dev/null || die "debootstrap is missing." "scripts/deps.sh debian-kernel installs it."
	mkdir -p "$cache/debian"
	need_space "$cache" 1000
	open_archive "$work/archive"
	say "making a small Debian 13 with systemd in $base"
	rm -rf "$base.new"
	logged_as read_debootstrap "$base.log" debootstrap --variant=minbase --keyring="$keyring" --include="$packages" \
		"$codename" "$base.new" "$archive"
	find "$base.new/var/cache/apt/archives" "$base.new/var/lib/apt/lists" -type f -delete
	mv -T "$base.new" "$base"
}

put_units() {
	# A network that comes up in its turn, with another host on it; and what there was before.
	cat >"$root/etc/systemd/system/test-address.service" <<-'UNIT'
		[Unit]
		DefaultDependencies=no
		After=network-pre.target
		Before=network.target network-online.target

		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/bin/sh -c 'cat /proc/net/ipsec_eroute >/run/eroutes-before'
		ExecStart=ip netns add east
		ExecStart=ip link add w0 type veth peer name e0 netns east
		ExecStart=ip -n east link set lo up
		ExecStart=ip -n east link set e0 up
		ExecStart=ip -n east addr add 192.0.2.2/24 dev e0
		ExecStart=ip -n east addr add 10.4.0.1/32 dev lo
		ExecStart=ip -n east route add 10.3.0.0/16 via 192.0.2.1 src 10.4.0.1
		ExecStart=ip link set w0 up
		ExecStart=ip addr add 10.3.0.1/32 dev lo
		ExecStart=ip addr add 192.0.2.1/24 dev w0

		[Install]
		WantedBy=network-online.target
	UNIT
	cat >"$root/etc/systemd/system/service-test.service" <<-UNIT
		[Unit]
		After=klips.service network.target
		Wants=network.target
		SuccessAction=poweroff-force
		FailureAction=poweroff-force

		[Service]
		Type=oneshot
		Environment=HOME=/root
		ExecStart=/scripts/${0##*/} inside
		StandardOutput=file:/dev/ttyS0
		StandardError=inherit

		[Install]
		WantedBy=multi-user.target
	UNIT
}

# By the command that INSTALL.md has.  Nothing is fetched: all that they depend on is there.
install_packages() {
	# Who made the packages, and when, would be asked of git otherwise.
	local -x DEBFULLNAME=Somebody DEBEMAIL=somebody@example.org SOURCE_DATE_EPOCH=1700000000
	local version
	version=$(project_version)
	"$scripts/deb.sh" >/dev/null
	mkdir "$root/root/deb"
	cp "$project"/build/deb/klips-{tools,dkms}_"$version"_*.deb "$root/root/deb"
	# Build directories have their own path in them, and that of the source.
	mkdir -p "$root$cache"
	mount --bind "$cache" "$root$cache"
	mount -o remount,bind,ro "$root$cache"
	mount --bind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	ln -s "$kernel" "$root/usr/lib/modules/$1/build"
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		sh -c 'cd /root/deb && apt install -y ./klips-*.deb'
	# There if it could not be built.
	cat "$root"/var/lib/dkms/klips/*/build/make.log || true
	umount --lazy "$root/proc" "$root/dev" "$root$cache"
	rm "$root/usr/lib/modules/$1/build"
}

make_root() {
	local release
	release=$(<"$kernel/include/config/kernel.release")
	# What is changed is in $work.
	mkdir "$root" "$work"/{upper,scratch}
	mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/scratch" "$root"
	# What klips.ko needs, and what xfrm loads when the first SA asks for it.
	install -D -m 644 -t "$root/usr/lib/modules/$release/kernel" "$kernel"/modules/*.ko
	cp "$kernel"/modules.{builtin,builtin.modinfo,order} "$root/usr/lib/modules/$release"
	install_packages "$release"
	chroot "$root" depmod "$release"
	cp -r "$scripts" "$root/scripts"
	cat >"$root/etc/klips/spi.batch" <<-'SAS'
		--ip4 --said tun.113@192.0.2.2 --src 192.0.2.1 --dst 192.0.2.2
		--esp aes128-sha1-96 --said esp.115@192.0.2.2 --src 192.0.2.1 --enckey 0x000102030405060708090a0b0c0d0e0f --authkey 0x000102030405060708090a0b0c0d0e0f10111213
		--ip4 --said tun.117@192.0.2.2 --src 192.0.2.1 --dst 192.0.2.2
	SAS
	echo '--said tun.113@192.0.2.2 esp.115@192.0.2.2' >"$root/etc/klips/spigrp.batch"
	echo '--add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@192.0.2.2' >"$root/etc/klips/eroute.batch"
	cat >"$root/etc/klips/ipsec.conf" <<-'CONF'
		conn c
		 left=192.0.2.1
		 right=192.0.2.2
		 leftsubnet=10.3.0.0/16
		 rightsubnet=10.4.0.0/16
		 spibase=0x200
		 esp=aes128-sha1-96
		 espenckey=0x000102030405060708090a0b0c0d0e0f
		 espauthkey=0x000102030405060708090a0b0c0d0e0f10111213
		 auto=manual
	CONF
	echo '--attach --virtual ipsec0 --physical w0' >"$root/etc/klips/tncfg.batch"
	put_units
	chroot "$root" systemctl enable klips test-address service-test
	# There is nobody to log in.
	chroot "$root" systemctl mask serial-getty@ttyS0 systemd-firstboot
}

# The compilers are of no more use, and more than the memory has room for.
boot() {
	chroot "$root" sh -c 'cd / && find . -xdev \( -path ./usr/lib/gcc -o -path ./usr/libexec/gcc -o -path ./usr/include \
		-o -path ./usr/lib/rustlib -o -name "librustc_driver*" -o -name "libLLVM*" \
		-o -path "./root/deb" \) -prune -o -print0 | cpio --null --create --format=newc --quiet' \
		>"$work/initramfs" || return
	# With a thread for each processor the guest now and then dies while it boots.
	timeout 600 qemu-system-x86_64 -M q35 -accel tcg,thread=single -cpu max -smp 2 -m 2048 \
		-nodefaults -no-reboot -display none \
		-kernel "$kernel/arch/x86/boot/bzImage" -initrd "$work/initramfs" -serial stdio \
		-append 'console=ttyS0 no_timer_check rdinit=/usr/lib/systemd/systemd panic=-1 systemd.show_status=false quiet' </dev/null
}

clean_up() {
	umount --lazy --recursive "$root" 2>/dev/null || true
	rm -rf --one-file-system "$work"
}

outside() {
	local status=0 ok bad
	log=$project/build/log/service-test.log
	((EUID == 0)) || die "this takes root."
	kernel=$("$scripts/kernel.sh" path --config debian)
	base=$cache/debian/systemd-$(sha256sum <<<"$packages" | head -c 12)
	[[ -x $project/build/bin/ipsec ]] || die "the tools are not built." "make tools"
	work=$(mktemp -d "$cache/service-test.XXXXXX")
	root=$work/root
	trap clean_up EXIT
	mkdir -p "${log%/*}"
	need_space "$cache" 3000
	make_base
	# Not in a condition, where a failure in the midst of it would not count.
	trap 'tail -n 15 "$log" >&2; say "the system could not be made; the log is $log"; clean_up' EXIT
	make_root >"$log" 2>&1
	trap clean_up EXIT
	boot 2>&1 | tr -d '\r' | tee -a "$log" || status=$?
	tally "$log" "$status"
	finish_checks "$status"
}

case ${1:-} in
'') outside ;;
inside) inside ;;
*) die "unknown argument \"$1\"; there are none." ;;
esac
