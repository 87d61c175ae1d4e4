#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs, upgrades, removes and purges the packages in a Debian 13, and looks at what is there
# and what is left.  Takes root.
#
#   scripts/deb-test.sh [ROOT [KDIR]]
#
#   ROOT  the directory of a Debian 13, which is not written to; if not given, or "", debootstrap
#         makes one in the cache
#   KDIR  a kernel's build directory that DKMS shall build for, with the compilers that ROOT has;
#         without it, modules are not built

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

project=${scripts%/*}
base=${1:-$cache/debian/packages-root} kdir=${2:-}
version=$(project_version)
# Another version for the upgrade.
readonly next=$version.1
work=$(mktemp -d "$cache/deb-test.XXXXXX")
root=$work/root

finish() {
	local status=$1
	umount --recursive "$root" 2>/dev/null || true
	rm -rf --one-file-system "$work"
	finish_checks "$status"
}
trap 'finish $?' EXIT

# --- The Debian 13 -------------------------------------------------------------

make_base() {
	command -v debootstrap >/dev/null || die "debootstrap is missing." "Give the directory of a Debian 13."
	open_archive "$work/archive"
	say "making a small Debian 13 in $base"
	rm -rf "$base.new"
	mkdir -p "${base%/*}"
	logged_as read_debootstrap "$base.log" debootstrap --variant=minbase --keyring="$keyring" \
		--include=dkms,rustc,libc6-dev,pahole "$codename" "$base.new" "$archive"
	find "$base.new/var/cache/apt/archives" "$base.new/var/lib/apt/lists" -type f -delete
	mv -T "$base.new" "$base"
}

inside() {
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive "$@"
}

# What is changed is in $work.
open_root() {
	mkdir "$root" "$work"/{upper,scratch,deb}
	mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/scratch" "$root"
	mount --bind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	mkdir -p "$root/mnt"
	mount --bind "$work/deb" "$root/mnt"
	if [[ $kdir ]]; then
		# Build directories have their own path in them, and that of the source.
		mkdir -p "$root$cache"
		mount --bind "$cache" "$root$cache"
		mount -o remount,bind,ro "$root$cache"
	fi
	cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
	# The last one is what a kernel's headers depend on.
	inside dpkg-query -W dkms rustc pahole >/dev/null 2>&1 || {
		inside apt-get -q update && inside apt-get -q -y install --no-install-recommends dkms rustc pahole
	} >"$work/log" 2>&1 || {
		tail -n 15 "$work/log" >&2
		die "what the packages need could not be installed."
	}
}

# A kernel whose headers lack the Rust metadata, an older one, a newer one, one that can be built for.
put_kernels() {
	local name
	for name in "$series.1-bare" 7.1.1-old 7.4.1-new; do
		mkdir -p "$root/usr/lib/modules/$name/build/include/config"
		printf 'CONFIG_RUST=y\nCONFIG_MODULES=y\n' >"$root/usr/lib/modules/$name/build/include/config/auto.conf"
	done
	for name in 7.1.1-old 7.4.1-new; do
		mkdir "$root/usr/lib/modules/$name/build/rust"
		touch "$root/usr/lib/modules/$name/build/rust/libkernel.rmeta"
	done
	[[ $kdir ]] || return 0
	kernel=$(<"$kdir/include/config/kernel.release")
	mkdir -p "$root/usr/lib/modules/$kernel"
	ln -s "$kdir" "$root/usr/lib/modules/$kernel/build"
}

# All that packages may have put somewhere; not what dpkg, apt and depmod keep for themselves, nor
# the key that DKMS makes to sign its first module.
everything() {
	(cd "$root" && find . -xdev \( -path ./var/log -o -path ./var/lib/dpkg -o -path ./var/cache -o -path ./mnt \
		-o -path ./tmp -o -name 'modules.*' -o -path './var/lib/dkms/mok.*' \) -prune -o -print | sort)
}

# --- The packages --------------------------------------------------------------

# Those of this version, and of the next, which differ in their number.
make_packages() {
	local copy=$work/next
	DEBFULLNAME=Somebody DEBEMAIL=somebody@example.org SOURCE_DATE_EPOCH=1700000000
	export DEBFULLNAME DEBEMAIL SOURCE_DATE_EPOCH
	mkdir -p "$copy/build" "$copy/userspace/ipsec"
	cp -a "$project"/{Kbuild,LICENSE,rust,include,scripts} "$copy"
	cp -a "$project/build/bin" "$copy/build"
	[[ ! -d $project/userspace/ipsec/man ]] || cp -a "$project/userspace/ipsec/man" "$copy/userspace/ipsec"
	cp "$project/Cargo.toml" "$copy"
	"$copy/scripts/deb.sh" >/dev/null
	sed -i "s/^version = \"$version\"$/version = \"$next\"/" "$copy/Cargo.toml"
	"$copy/scripts/deb.sh" >/dev/null
	cp "$copy"/build/deb/*.deb "$work/deb"
}

# install VERSION: both packages.
install() { inside sh -c "dpkg --install /mnt/klips-tools_$1_*.deb /mnt/klips-dkms_$1_all.deb"; }

dkms_status() { inside dkms status -m klips; }
wants=/etc/systemd/system/multi-user.target.wants/klips.service

check_installed() { # VERSION
	check "$1: nothing differs from the packages" same "$(inside dpkg --verify klips-tools klips-dkms)" "${2:-}"
	check "$1: klips runs" has "$(inside klips --version)" "klips, $version"
	check "$1: there is no ipsec in the path" fails inside sh -c 'command -v ipsec'
	check "$1: DKMS has this version" has "$(dkms_status)" "klips/$1"
	check "$1: and no other" test "$(dkms_status | grep -cv "^klips/$1[,:]")" -eq 0
	check "$1: kernels that it cannot be built for are passed over" fails grep -E 'bare|old|new' <<<"$(dkms_status)"
	[[ ! $kdir ]] || check "$1: the module is installed" has "$(inside dkms status -k "$kernel")" "klips/$1, $kernel, x86_64: installed"
}

main() {
	[[ -d $base ]] || make_base
	[[ -x $project/build/bin/ipsec ]] || die "the tools are not built." "make tools"
	open_root
	put_kernels
	make_packages
	local before
	before=$(everything)

	check "installs" install "$version"
	check_installed "$version"
	check "the service is not enabled" fails test -L "$root$wants"
	check "keys are root's" same "$(stat -c %a "$root/etc/klips/spi.batch")" 600

	echo '# my own' >>"$root/etc/klips/spi.batch"
	mkdir -p "$root${wants%/*}"
	ln -s /usr/lib/systemd/system/klips.service "$root$wants"
	check "upgrades" install "$next"
	check_installed "$next" '??5?????? c /etc/klips/spi.batch'
	check "the old source is gone" fails test -e "$root/usr/src/klips-$version"
	check "changed settings stay" grep -qx '# my own' "$root/etc/klips/spi.batch"
	check "the service is still enabled" test -L "$root$wants"

	check "removes" inside dpkg --remove klips-tools klips-dkms
	check "settings stay" test -e "$root/etc/klips/spi.batch"
	check "DKMS forgets it" same "$(dkms_status)" ''
	check "purges" inside dpkg --purge klips-tools klips-dkms
	# The directory was made here, if deb-systemd-helper has left it.
	[[ ! -d $root${wants%/*} ]] || rmdir "$root${wants%/*}"
	check "nothing is left" same "$(everything)" "$before"

	check "installs again" install "$version"
	check "purges at once" inside dpkg --purge klips-tools klips-dkms
	check "again nothing is left" same "$(everything)" "$before"

	if inside sh -c 'command -v lintian' >/dev/null; then
		check "lintian has nothing to say" same "$(inside sh -c "lintian --allow-root --no-cfg --display-info /mnt/*_${version}_*.deb" 2>&1)" ''
	fi
}

main
