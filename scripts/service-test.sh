#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Boots a Debian 13 with systemd on Debian's own kernel in QEMU, with the tools installed as a
# package, and looks whether klips.service does what it says.  Takes root.
#
#   scripts/service-test.sh
#
# "make CONFIG=debian module tools" makes what it boots with.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$scripts/checks.sh"
# shellcheck source-path=SCRIPTDIR source=archive.sh
. "$scripts/archive.sh"

project=${scripts%/*}
# What the batch files make, as /proc lists it.
readonly want='tun0x113@192.0.2.2 esp0x115@192.0.2.2
tun0x117@192.0.2.2'
readonly want_eroutes='10.0.1.0/24 -> 10.0.2.0/24 => tun0x113@192.0.2.2'

# --- Inside --------------------------------------------------------------------

# What /proc lists, without the blanks at the ends of lines.
groups() { sed 's/ *$//' /proc/net/ipsec_spigrp; }
# Without how many packets they took.
eroutes() { awk '{ print $2, $3, $4, $5, $6 }' /proc/net/ipsec_eroute; }
state() { systemctl show --value -p "$1" klips; }
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
	check "systemd finds nothing wrong with it" same "$(systemd-analyze verify --man=no klips.service 2>&1)" ''
	check "it ran at boot" same "$(state ActiveState) $(state Result)" 'active success'
	check "the module is loaded" is_loaded
	check "SAs and groups are there" same "$(groups)" "$want"
	check "and eroutes" same "$(eroutes)" "$want_eroutes"
	check "before there is a network" before klips.service network-pre.target

	check "starts anew" systemctl restart klips
	check "with the same SAs and groups" same "$(groups)" "$want"
	check "and the same eroutes" same "$(eroutes)" "$want_eroutes"

	check "stops" systemctl stop klips
	check "the tables are empty" same "$(groups) $(eroutes)" ' '
	check "the module stays" is_loaded

	cp /etc/klips/spigrp.batch /root
	echo '--said esp.115@192.0.2.2 ah.999@192.0.2.2' >>/etc/klips/spigrp.batch
	check "fails if a group can't be made" fails systemctl start klips
	check "systemd knows" same "$(state ActiveState) $(state Result)" 'failed exit-code'
	check "and says why" has "$(journalctl -b -o cat -u klips)" '/etc/klips/spigrp.batch:2: '
	check "what there was before is left alone" same "$(groups)" "$want"
	check "eroutes are there all the same, and drop what has no SAs" same "$(eroutes)" "$want_eroutes"
	cp /root/spigrp.batch /etc/klips
	klips spi --clear
	klips eroute --clear
	check "starts when that is mended" systemctl start klips
	check "they are there again" same "$(groups)" "$want"

	systemctl stop klips
	rmmod klips
	check "loads the module itself" systemctl start klips
	check "and makes SAs and groups" same "$(groups)" "$want"
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
	logged_as read_debootstrap "$base.log" debootstrap --variant=minbase --keyring="$keyring" --include=systemd-sysv,kmod,cpio \
		"$codename" "$base.new" "$archive"
	find "$base.new/var/cache/apt/archives" "$base.new/var/lib/apt/lists" -type f -delete
	mv -T "$base.new" "$base"
}

put_unit() {
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

make_root() {
	local release
	# Who made the packages, and when, would be asked of git otherwise.
	local -x DEBFULLNAME=Somebody DEBEMAIL=somebody@example.org SOURCE_DATE_EPOCH=1700000000
	release=$(<"$kernel/include/config/kernel.release")
	cp -a "$base" "$root"
	"$scripts/deb.sh" >/dev/null
	cp "$project/build/deb/klips-tools_$(project_version)_$(dpkg --print-architecture).deb" "$root/klips-tools.deb"
	chroot "$root" dpkg --install /klips-tools.deb
	install -D -m 644 "$module" "$root/usr/lib/modules/$release/updates/klips.ko"
	chroot "$root" depmod "$release"
	cp -r "$scripts" "$root/scripts"
	cat >"$root/etc/klips/spi.batch" <<-'SAS'
		--ip4 --said tun.113@192.0.2.2 --src 192.0.2.1 --dst 192.0.2.2
		--esp aes128-sha1-96 --said esp.115@192.0.2.2 --src 192.0.2.1 --enckey 0x000102030405060708090a0b0c0d0e0f --authkey 0x000102030405060708090a0b0c0d0e0f10111213
		--ip4 --said tun.117@192.0.2.2 --src 192.0.2.1 --dst 192.0.2.2
	SAS
	echo '--said tun.113@192.0.2.2 esp.115@192.0.2.2' >"$root/etc/klips/spigrp.batch"
	echo '--add --src 10.0.1.0/24 --dst 10.0.2.0/24 --said tun.113@192.0.2.2' >"$root/etc/klips/eroute.batch"
	put_unit
	chroot "$root" systemctl enable klips service-test
	# There is nobody to log in.
	chroot "$root" systemctl mask serial-getty@ttyS0 systemd-firstboot
}

boot() {
	chroot "$root" sh -c 'cd / && find . -xdev -print0 | cpio --null --create --format=newc --quiet' \
		>"$work/initramfs" || return
	# With a thread for each processor the guest now and then dies while it boots.
	timeout 600 qemu-system-x86_64 -M q35 -accel tcg,thread=single -cpu max -smp 2 -m 2048 \
		-nodefaults -no-reboot -display none \
		-kernel "$kernel/arch/x86/boot/bzImage" -initrd "$work/initramfs" -serial stdio \
		-append 'console=ttyS0 rdinit=/usr/lib/systemd/systemd panic=-1 systemd.show_status=false quiet' </dev/null
}

outside() {
	local status=0 ok bad
	log=$project/build/log/service-test.log
	((EUID == 0)) || die "this takes root."
	kernel=$("$scripts/kernel.sh" path --config debian)
	module=$project/build/module-debian/klips.ko
	base=$cache/debian/systemd-root
	[[ -e $module && -x $project/build/bin/ipsec ]] ||
		die "module and tools are not built." "make CONFIG=debian module tools"
	work=$(mktemp -d "$cache/service-test.XXXXXX")
	root=$work/root
	trap 'rm -rf --one-file-system "$work"' EXIT
	mkdir -p "${log%/*}"
	need_space "$cache" 2000
	make_base
	# Not in a condition, where a failure in the midst of it would not count.
	trap 'tail -n 15 "$log" >&2; say "the system could not be made; the log is $log"; rm -rf --one-file-system "$work"' EXIT
	make_root >"$log" 2>&1
	trap 'rm -rf --one-file-system "$work"' EXIT
	boot 2>&1 | tr -d '\r' | tee -a "$log" || status=$?
	tally "$log" "$status"
	finish_checks "$status"
}

case ${1:-} in
'') outside ;;
inside) inside ;;
*) die "unknown argument \"$1\"; there are none." ;;
esac
