#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fetches what guests of another architecture are made of, once, into the cache: the programs and
# libraries of this Debian's packages for it, and what Rust programs are linked with.  They are only
# unpacked: none of them is installed, and dpkg hears of no architecture.  Prints the directory.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=archive.sh
. "$scripts/archive.sh"

# With all that they depend on; "vm" looks for these.
readonly programs=(busybox-static iproute2 iputils-ping perl-base tcpdump)

# apt that knows the system's archives, another architecture, and no installed package.
of_arm64() {
	"$1" -q -c "$archive_dir/apt.conf" -o APT::Architecture=arm64 -o APT::Architectures::=arm64 \
		-o Dir::State::status="$archive_dir/status" -o APT::Install-Recommends=false "${@:2}"
}

# What is linked with comes without the compilers that it depends on; the standard library is of the
# very compiler that is here.
fetch() {
	local owner version std
	owner=$(dpkg-query -S "$rustc")
	owner=${owner%%:*}
	version=$(dpkg-query -W -f '${Version}' "$owner")
	std=libstd-${owner/rustc/rust}-dev=$version
	of_arm64 apt-get update &&
		of_arm64 apt-get -y --download-only install "${programs[@]}" &&
		cd "$archive_dir/archives" &&
		of_arm64 apt-get download "$std" libc6-dev "libgcc-$(gcc -dumpversion)-dev"
}

# The folders of the top are links, as in a Debian that is installed.
unpack() {
	local file name
	for name in bin lib sbin; do
		mkdir -p "$1/usr/$name"
		ln -s "usr/$name" "$1/$name"
	done
	for file in "$archive_dir"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$file" | tar -x --keep-directory-symlink --no-same-owner -C "$1"
	done
}

main() {
	local root work status=0
	[[ $arch == arm64 ]] || die "this is for ARCH=arm64."
	root=$cache/arm64/$(own_codename)-rust-$(version_of "$rustc")
	if [[ ! -d $root ]]; then
		lock arm64-root "the packages for arm64"
		if [[ ! -d $root ]]; then
			need_space "$cache" 700
			mkdir -p "$cache/arm64"
			# What interrupted runs left; the lock is ours.
			rm -rf "$cache/arm64"/.new.*
			work=$(mktemp -d "$cache/arm64/.new.XXXXXX")
			# shellcheck disable=SC2064 # its value now
			trap "rm -rf '$work'" EXIT
			open_archive "$work"
			touch "$work/status"
			say "fetching packages for arm64"
			watched "$work/log" read_apt 0 0 fetch || status=$?
			((status != disk_is_full)) || die_of_full_disk "$cache"
			if ((status != 0)); then
				tail -n 15 "$work/log" >&2
				die "the packages for arm64 could not be fetched; the last words of apt are above." \
					"If it is the version of the standard library that is not there, bring $rustc up to date first."
			fi
			unpack "$work/root"
			mv -T "$work/root" "$root"
		fi
	fi
	printf '%s\n' "$root"
}

main "$@"
