#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Installs the tools that "make tools" built, what belongs to them, and the module's source for
# DKMS; or removes exactly what it installed.
#
# What it made is in a list, with the digests of files: "install" takes away what the list of an
# earlier version has, "uninstall" all of it.  Files below /etc that the administrator changed are
# left alone.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
	cat <<USAGE
usage: scripts/install.sh install|uninstall

  install    install what "make tools" built
  uninstall  remove what was installed

environment:
  PREFIX         where to, /usr/local if not set
  DESTDIR        put before all paths, for making packages
  INSTALL_IPSEC  1: also as PREFIX/sbin/ipsec, which other IPsec software has as well
USAGE
}

project=${scripts%/*}
readonly project templates=$project/scripts/install
readonly bin=$project/build/bin
readonly prefix=${PREFIX:-/usr/local} destdir=${DESTDIR:-}
readonly libexec=$prefix/libexec/klips
readonly list=$libexec/installed
version=$(project_version)
readonly version
known_pattern=$(IFS='|' && printf '%s' "(${known_series[*]//./[.]})")
readonly known_pattern

# --- What is put where ---------------------------------------------------------

# All paths from here on are those on the system that it is installed to, without DESTDIR.

record() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$new_list"; } # KIND DIGEST-OR-TARGET PATH

# With the directories above; only those that are new are ours to remove.
make_dir() { # DIR [MODE]
	[[ $1 && ! -d $destdir$1 ]] || return 0
	make_dir "${1%/*}"
	mkdir -m "${2:-755}" -- "$destdir$1"
	record dir - "$1"
}

digest() { sha256sum <"$1" | head -c 64; }

# What is there now belongs to somebody else.
need_free() { # PATH
	[[ ! -e $destdir$1 && ! -L $destdir$1 ]] || die "$1 is there already, and not from here." "Nothing is installed now."
}

put_file() { # MODE SOURCE PATH
	need_free "$3"
	make_dir "${3%/*}"
	install -m "$1" -- "$2" "$destdir$3"
	record file "$(digest "$2")" "$3"
}

# One that the administrator may have changed.
put_setting() { # MODE SOURCE PATH
	if [[ -e $destdir$3 ]]; then
		say "$3 is kept as it is; the new one is $2"
	else
		put_file "$@"
	fi
}

put_link() { # TARGET PATH
	need_free "$2"
	make_dir "${2%/*}"
	ln -s -- "$1" "$destdir$2"
	record link "$1" "$2"
}

# A file with what is decided here filled in.
fill_in() { # TEMPLATE
	sed "s,@LIBEXEC@,$libexec,g; s,@VERSION@,$version,g; s,@SERIES@,$known_pattern,g; s,@KNOWN@,$(known_kernels),g; s,@NEWEST@,${known_series[-1]},g" "$1"
}

put_filled_in() { # TEMPLATE PATH
	fill_in "$1" >"$work/filled-in"
	put_file 644 "$work/filled-in" "$2"
}

# --- What is installed ---------------------------------------------------------

put_tools() {
	local link file
	put_file 755 "$bin/ipsec" "$libexec/ipsec"
	find "$bin" -maxdepth 1 -type l -lname ipsec -printf '%f\n' | sort >"$work/links"
	while read -r link; do
		put_link ipsec "$libexec/$link"
	done <"$work/links"
	for file in doctor common progress build-dir; do
		put_file "$([[ $file == doctor ]] && echo 755 || echo 644)" "$scripts/$file.sh" "$libexec/doctor/$file.sh"
	done
	put_link ../libexec/klips/ipsec "$prefix/sbin/klips"
	[[ ${INSTALL_IPSEC:-} != 1 ]] || put_link ../libexec/klips/ipsec "$prefix/sbin/ipsec"
}

# ipsec(8) is a page of other IPsec software, too: here it goes by the program's own name.
put_manual() {
	local page name
	for page in "$project"/userspace/ipsec/man/*.[1-9]; do
		[[ -e $page ]] || continue
		name=${page##*/}
		if [[ $name == ipsec.8 ]]; then
			sed 's/^\.Dt IPSEC /.Dt KLIPS /; s/^\.Nm ipsec/.Nm klips/; s/(ipsec completions/(klips completions/' "$page" >"$work/klips.8"
			put_file 644 "$work/klips.8" "$prefix/share/man/man8/klips.8"
			[[ ${INSTALL_IPSEC:-} == 1 ]] || continue
		fi
		put_file 644 "$page" "$prefix/share/man/man${name##*.}/$name"
	done
}

put_completions() {
	local shell path
	while read -r shell path; do
		"$bin/ipsec" completions "$shell" klips >"$work/completions"
		put_file 644 "$work/completions" "$prefix/share/$path"
	done <<-PATHS
		bash bash-completion/completions/klips
		zsh zsh/site-functions/_klips
		fish fish/vendor_completions.d/klips.fish
	PATHS
}

# What builds the module, and no more.
put_source() {
	local dir=$prefix/src/klips-$version file
	put_file 644 "$project/Kbuild" "$dir/Kbuild"
	put_file 644 "$project/LICENSE" "$dir/LICENSE"
	put_file 644 "$templates/module.mk" "$dir/Makefile"
	put_filled_in "$templates/dkms.conf.in" "$dir/dkms.conf"
	(cd "$project" && find include rust -path rust/tests -prune -o -name host.rs -o \( -name '*.[ch]' -o -name '*.rs' \) -print | sort) >"$work/sources"
	while read -r file; do
		put_file 644 "$project/$file" "$dir/$file"
	done <"$work/sources"
}

put_everything() {
	put_tools
	put_manual
	put_completions
	put_file 644 "$project/include/uapi/linux/klips.h" "$prefix/include/klips/klips.h"
	put_filled_in "$templates/klips.service.in" "$prefix/lib/systemd/system/klips.service"
	put_filled_in "$templates/klips-manual.service.in" "$prefix/lib/systemd/system/klips-manual.service"
	put_filled_in "$templates/klips-tncfg.service.in" "$prefix/lib/systemd/system/klips-tncfg.service"
	make_dir /etc/klips 700
	put_setting 600 "$templates/spi.batch" /etc/klips/spi.batch
	put_setting 600 "$templates/spigrp.batch" /etc/klips/spigrp.batch
	put_setting 600 "$templates/eroute.batch" /etc/klips/eroute.batch
	put_setting 600 "$templates/ipsec.conf" /etc/klips/ipsec.conf
	put_setting 600 "$templates/tncfg.batch" /etc/klips/tncfg.batch
	put_setting 644 "$templates/modprobe.conf" /etc/modprobe.d/klips.conf
	put_source
}

# --- Commands ------------------------------------------------------------------

# Whether a path is still what the list says.
is_ours() { # KIND DIGEST-OR-TARGET PATH
	case $1 in
	file) [[ -f $destdir$3 && ! -L $destdir$3 && $(digest "$destdir$3") == "$2" ]] ;;
	link) [[ -L $destdir$3 && $(readlink -- "$destdir$3") == "$2" ]] ;;
	dir) [[ -d $destdir$3 && ! -L $destdir$3 ]] ;;
	esac
}

# Removes what the list has, what is inside of directories first.
remove_listed() {
	local kind value path
	while IFS=$'\t' read -r kind value path; do
		if [[ ! -e $destdir$path && ! -L $destdir$path ]]; then
			continue
		elif ! is_ours "$kind" "$value" "$path"; then
			say "$path was changed, so it is kept"
		elif [[ $kind == dir ]]; then
			rmdir --ignore-fail-on-non-empty -- "$destdir$path"
		else
			rm -- "$destdir$path"
		fi
	done < <(tac -- "$1")
}

remove_installed() {
	mv -- "$destdir$list" "$work/old"
	remove_listed "$work/old"
}

install_all() {
	local kind path
	[[ -x $bin/ipsec ]] || die "the tools are not built." "make tools"
	mkdir -p -- "$destdir/"
	if [[ -e $destdir$list ]]; then
		remove_installed
		# Directories that are still there because of others' files are still ours.
		while IFS=$'\t' read -r kind _ path; do
			[[ $kind != dir || ! -d $destdir$path ]] || record dir - "$path"
		done <"$work/old"
	fi
	make_dir "$libexec"
	put_everything
	install -m 644 -- "$new_list" "$destdir$list"
	: >"$new_list"
}

uninstall_all() {
	[[ -e $destdir$list ]] || die "nothing is installed: there is no $destdir$list." \
		"PREFIX and DESTDIR must be those of \"make install\"."
	remove_installed
}

main() {
	work=$(mktemp -d)
	new_list=$work/new
	: >"$new_list"
	# What could not be installed whole is taken away again.
	trap 'remove_listed "$new_list"; rm -rf "$work"' EXIT
	# Who installs may have a umask that keeps others out.
	umask 022
	[[ $prefix == /* ]] || die "PREFIX: $prefix is no absolute path."
	case ${1:-help} in
	install) install_all ;;
	uninstall) uninstall_all ;;
	help | -h | --help) usage ;;
	*) die "unknown command \"$1\"; see scripts/install.sh help." ;;
	esac
}

main "$@"
