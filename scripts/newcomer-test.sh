#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Follows the README on a Debian 13 that has nothing but itself, from a clone of what is committed
# here: the packages that it asks for, "make demo", "make test"; says how long each took.  Takes
# root, and some 12 GB below the cache while it runs.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=archive.sh
. "$scripts/archive.sh"
# shellcheck source-path=SCRIPTDIR source=checks.sh
. "$scripts/checks.sh"

((EUID == 0)) || die "this takes root."
# The mounts vanish with this process.
if [[ ${own_mounts:-} != yes ]]; then
	own_mounts=yes exec unshare --mount --propagation private "${BASH_SOURCE[0]}" "$@"
fi

readonly project=${scripts%/*}
mkdir -p "$cache"
need_space "$cache" 12000
work=$(mktemp -d "$cache/newcomer.XXXXXX")
root=$work/root

finish() {
	local status=$1
	umount --recursive "$root" 2>/dev/null || true
	rm -rf --one-file-system "$work"
	finish_checks "$status"
}
trap 'finish $?' EXIT

inside() {
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive "$@"
}

# Their certificates and the place of their archive are this machine's, as an administrator would
# have set them up; nothing else is.
make_root() {
	command -v debootstrap >/dev/null || die "debootstrap is missing." "scripts/deps.sh debian-kernel installs it."
	open_archive "$work/archive"
	say "making a small Debian 13"
	logged_as read_debootstrap "$work/log" debootstrap --variant=minbase --keyring="$keyring" \
		--include=ca-certificates "$codename" "$root" "$archive"
	cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
	cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/"
	# As everybody's root is, a place where something is mounted: else nobody can unshare(1) there.
	mount --bind "$root" "$root"
	mount --rbind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	inside update-ca-certificates >/dev/null
	inside apt-get -q update >"$work/log"
	git clone -q "$project" "$root/root/klips"
	inside chown -R 0:0 /root/klips
}

# timed COMMAND: runs it in the clone and says how long it took.
timed() {
	local start=$SECONDS status=0
	say "$*, from nothing" >&2
	inside sh -c "cd /root/klips && $*" >"$work/output" 2>&1 </dev/null || status=$?
	printf '# %s: %d min %d s\n' "$*" $(((SECONDS - start) / 60)) $(((SECONDS - start) % 60))
	if ((status)); then
		grep -E 'FAILED|^not ok' "$work/output" || true
		tail -n 60 "$work/output"
	fi
	return "$status"
}

# The line by which the README has a newcomer begin, without the sudo that root needs not.
first_line() {
	# shellcheck disable=SC2016 # a backquote of the page, none of the shell
	sed -n 's/.*`sudo \(apt install [^`]*\)`.*/\1 -y/p' "$project/README.md"
}

make_root
check "the README says what has to be there first" test -n "$(first_line)"
check "that can be installed" inside sh -c "$(first_line)"
# Not through check: what it says of its time is to be seen.
if timed make demo; then
	passed=$((passed + 1))
	check "the demo shows the packet taken apart" grep -q 'AH(spi=0x00000116.*ESP(spi=0x00000115' "$work/output"
	check "and the group in the list" grep -q '^tun0x113@10.0.0.2 esp0x115@10.0.0.2 ah0x116@10.0.0.2' "$work/output"
else
	failed=$((failed + 1))
fi
if timed make test; then
	passed=$((passed + 1))
	check "the last line of the tests counts" has "$(tail -n 1 "$work/output")" ' passed, 0 failed'
else
	failed=$((failed + 1))
fi
