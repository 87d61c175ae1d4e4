#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes what building modules in Rust for Debian's own kernel needs.  Its headers package leaves
# out what the Rust compiler wrote about the kernel's crates; the same compiler writes the same
# once more, from the same source and configuration.  That compiler is this system's if this is
# the Debian that has the kernel, else that of a small one of these in the cache.
#
# The result is laid out like a build directory of scripts/kernel.sh, which calls this.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=archive.sh
. "$scripts/archive.sh"
# shellcheck source-path=SCRIPTDIR source=resume.sh
. "$scripts/resume.sh"

usage() {
	cat <<USAGE
usage: scripts/debian-kernel.sh COMMAND [KERNEL [ARGUMENT...]]

  build   prepare building for that kernel, unless the cache has it; prints the directory
  path    print that directory if it is in the cache, else fail
  make    run make there with the kernel's own tools; it sees this folder and the cache only
  fetch   get the packages even if the cache has some: those of the newest kernel

  KERNEL  debian (the default), debian-cloud or debian-rt: Debian 13's, of its backports;
          debian-forky, debian-sid: of testing and unstable, also with -cloud or -rt behind

Where the running kernel is of that kind it is for that one, else for the newest in the cache.

environment:
  SERIES          which Linux: $(known_kernels); if not set, that of the running kernel, else $series,
                  of testing and unstable the newest of these that they have
  XDG_CACHE_HOME  the cache is \$XDG_CACHE_HOME/klips, or ~/.cache/klips
  JOBS            parallel jobs, one per processor if not set

Results go to stdout, everything else to stderr.
USAGE
}

# Part of every key: raise it when this script starts to do things differently.
readonly format=1
readonly debian=$cache/debian
project=${scripts%/*}
readonly project
# What guests load besides klips.ko: scripts/kernel.config has the same as modules.
readonly modules=(xfrm_user xfrm_interface ah4 esp4 ipcomp xfrm4_tunnel ipip ah6 esp6 ipcomp6 xfrm6_tunnel
	ip6_tunnel authenc ccm chacha chacha20poly1305 cmac ctr deflate des_generic echainiv gcm crypto_null seqiv xcbc
	dummy veth)

# --- Packages ----------------------------------------------------------------

# Sets: distribution, suite, sources, suffix, kept, and all_series, of which one will be taken.
choose_distribution() {
	local flavour=${config#debian} number=13
	distribution=$codename
	kept=$debian
	all_series=("$series")
	case $flavour in
	-forky* | -sid*)
		distribution=${flavour#-}
		distribution=${distribution%%-*}
		flavour=${flavour#-"$distribution"}
		number=14
		suite=$distribution
		sources=$cache/src/$distribution
		# Two of them may have kernels of the same name.
		kept=$debian/$distribution
		[[ ${SERIES:-} ]] || all_series=("${known_series[@]}")
		;;
	esac
	case $config:$flavour in
	debian*: | debian*:-cloud | debian*:-rt) suffix=+deb$number$flavour-amd64 ;;
	*) die "there is no kernel \"$config\": debian, debian-forky or debian-sid, with -cloud or -rt behind if need be." ;;
	esac
}

is_running() { [[ $(uname -r) == "$series".*"$suffix" ]]; }

# Nobody who wants it for the running kernel has to say which that is.
choose_series() {
	local known
	[[ -z ${SERIES:-} ]] || return 0
	for known in "${known_series[@]}"; do
		[[ $(uname -r) != "$known".*"$suffix" ]] || all_series=("$known")
	done
	series=${all_series[-1]}
}

series_of() { # RELEASE
	local short=${1%%[+-]*}
	printf '%s\n' "${short%.*}"
}

# Whether all modules that guests load now were kept.
has_modules() { # PACKAGES
	printf '%s\n' "${modules[@]}" | cmp -s - "$1/wanted"
}

# Sets: kernel, packages.  Fails if the cache does not have it.
find_packages() {
	local found known
	if is_running; then
		kernel=$(uname -r)
		packages=$kept/$kernel
		# Another build of the same release is another kernel.
		has_modules "$packages" && [[ $(uname -v) == *" $(<"$packages/version") "* ]]
		return
	fi
	for known in "${all_series[@]}"; do
		found+=("$kept/$known".*"$suffix"/wanted)
	done
	mapfile -t found < <(find "${found[@]}" 2>/dev/null)
	((${#found[@]} > 0)) || return 1
	packages=$(printf '%s\n' "${found[@]%/wanted}" | sort -V | tail -n 1)
	kernel=${packages##*/}
	series=$(series_of "$kernel")
	has_modules "$packages"
}

# The kernels of this kind in the archive, the newest last.
releases() {
	local known
	for known in "${all_series[@]}"; do
		of_suite apt-cache search --names-only "^linux-binary-${known}[.][0-9]+[+]${suffix#+}\$"
	done |
		sed 's/^linux-binary-\([^ ]*\) .*/\1/' | sort -V
}

# take_modules ROOT RELEASE DIR: puts the modules for guests and those they depend on into DIR,
# unpacked, with lists as a kernel's build leaves them.
take_modules() {
	local files file
	depmod -b "$1" "$2"
	files=$(modprobe -d "$1" -S "$2" --show-depends -a "${modules[@]}" | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u)
	mkdir "$3"
	for file in $files; do
		case $file in
		*.xz) xz -dc "$file" >"$3/$(basename "$file" .xz)" ;;
		*) cp "$file" "$3" ;;
		esac
	done
	find "$3" -name '*.ko' -printf 'modules/%f\n' | sed 's/ko$/o/' | sort >"$3/modules.order"
	# The packages do not say what is built in; without, modprobe fails for that, which nobody asks for.
	touch "$3"/modules.builtin{,.modinfo}
}

# Downloads the running kernel or the newest one, and keeps of its packages what is needed.
fetch_packages() {
	local work release headers file
	mkdir -p "$kept"
	need_space "$debian" 500
	rm -rf "$debian"/.packages.*
	work=$(mktemp -d "$debian/.packages.XXXXXX")
	# shellcheck disable=SC2064 # its value now
	trap "rm -rf '$work'" EXIT
	open_archive "$work"
	read_suite
	release=$(releases | tail -n 1)
	[[ $release ]] || die "$suite of the system's Debian archive has no Linux ${all_series[*]} for $config."
	if is_running; then
		releases | grep -Fx "$(uname -r)" >/dev/null ||
			die "$suite does not have the running kernel any more." "Upgrade it and boot the new one: $release."
		release=$(uname -r)
	fi
	say "fetching Linux $release from $suite (40 to 120 MB)"
	download "linux-binary-$release" "linux-headers-$release" "linux-modules-$release"
	for file in "$work"/archives/*.deb; do
		dpkg-deb -x "$file" "$work/unpacked"
	done
	headers=$work/unpacked/usr/src/linux-headers-$release
	mkdir "$work/new"
	mv "$work/unpacked/usr/lib/modules/$release/vmlinuz" "$headers"/{Module.symvers,vmlinux} "$work/new"
	mv "$headers/.config" "$work/new/config"
	take_modules "$work/unpacked/usr" "$release" "$work/new/modules"
	printf '%s\n' "${modules[@]}" >"$work/new/wanted"
	dpkg-deb -f "$work/archives/linux-headers-$release"_*.deb Version >"$work/new/version"
	rm -rf "${kept:?}/$release"
	mv -T "$work/new" "$kept/$release"
	rm -rf "$work"
	trap - EXIT
}

get_packages() {
	find_packages && return
	lock debian-packages "Debian's kernel"
	find_packages || fetch_packages
	unlock
	find_packages || die "the running kernel is an older build of $kernel than that of $suite." \
		"Upgrade it and boot the new one."
}

# Sets: source, source_id.
find_source() { # [fetch]
	local version
	version=$(<"$packages/version")
	source_id=${version//[^A-Za-z0-9.-]/-}
	source=$sources/linux-$source_id
	[[ -d $source ]] && return
	[[ ${1:-} == fetch ]] || return 1
	[[ $distribution == "$codename" ]] || local -x SUITE=$suite
	SERIES=$series "$scripts/kernel.sh" fetch >/dev/null
	[[ -d $source ]] || die "$suite does not have the source of Linux $kernel (version $version) any more." \
		"Install its newest kernel and boot it, or scripts/debian-kernel.sh fetch $config."
}

# --- Tools -------------------------------------------------------------------

# Sets: rustc_text, bindgen_text, make_args, tools, and root: the directory of such a Debian, or nothing
# if this system is one that has the tools the kernel was built with.
find_tools() {
	local missing cc
	rustc_text=$(kernel_option "$packages/config" RUSTC_VERSION_TEXT)
	bindgen_text=$(kernel_option "$packages/config" BINDGEN_VERSION_TEXT)
	cc=$(kernel_option "$packages/config" CC_VERSION_TEXT)
	cc=${cc%% *}
	make_args=(ARCH=x86 "CROSS_COMPILE=${cc%gcc*}" "CC=$cc")
	tools=("${debian_kernel_packages[@]/#gcc-*-for-host/gcc-${cc##*-}-for-host}")
	root=''
	if [[ $(own_codename) == "$distribution" ]]; then
		missing=$(not_installed "${tools[@]}")
		[[ -z $missing || $distribution != "$codename" ]] ||
			die "missing: ${missing//$'\n'/, }" "scripts/deps.sh debian-kernel installs it."
		[[ -z $missing ]] && has_the_tools && return
	fi
	root=$debian/root-$(printf '%s\n' "$format" "$rustc_text" "$bindgen_text" "${tools[@]}" |
		sha256sum | head -c 12)
}

has_the_tools() {
	[[ $(in_place $rustc --version) == "$rustc_text" && $(in_place bindgen --version) == "$bindgen_text" ]]
}

# Runs a command with nothing of the caller's environment, in $root if there is one.  There it
# sees this folder and the cache where they are here; the mounts vanish with the command.
in_place() {
	local clean=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C)
	if [[ -z $root ]]; then
		"${clean[@]}" "$@"
		return
	fi
	# shellcheck disable=SC2016 # expanded in there
	as_root unshare --mount bash -euc '
		root=$1 user=$2
		for dir in "$3" "$4"; do
			mkdir -p "$root$dir"
			mount --bind "$dir" "$root$dir"
		done
		mount --bind /dev "$root/dev"
		mount -t proc proc "$root/proc"
		exec chroot --userspec="$user" "$root" "${@:5}"' \
		in_place "$root" "$(id -u):$(id -g)" "$cache" "$project" "${clean[@]}" "$@"
}

# A small Debian with the tools.
make_root() {
	local final=$root work list script=()
	[[ ! -d $final ]] || return 0
	lock "${final##*/}" "the small Debian $distribution"
	[[ ! -d $final ]] || return 0
	need_root "making a Debian $distribution in $final"
	command -v debootstrap >/dev/null || die "debootstrap is missing." "scripts/deps.sh debian-kernel installs it."
	need_space "$debian" 2500
	work=$(mktemp -d "$debian/.work.XXXXXX")
	# shellcheck disable=SC2064 # its value now
	trap "rm -rf '$work'" EXIT
	open_archive "$work"
	say "making a small Debian $distribution with the kernel's compilers (fetches 330 MB, takes 2 GB and three minutes)"
	printf -v list '%s,' "${tools[@]}"
	# An older debootstrap does not know that one by name.
	[[ $distribution == "$codename" ]] || script=(/usr/share/debootstrap/scripts/sid)
	as_root rm -rf "$final.new"
	logged_as read_debootstrap "$debian/root.log" as_root debootstrap --variant=minbase --keyring="$keyring" \
		--include="${list%,}" \
		"$distribution" "$final.new" "$archive" "${script[@]}" || die "debootstrap failed; the log is $debian/root.log"
	as_root find "$final.new/var/cache/apt/archives" "$final.new/var/lib/apt/lists" -type f -delete
	root=$final.new
	has_the_tools || die "Linux $kernel was built with $rustc_text and $bindgen_text;" \
		"$distribution has $(in_place $rustc --version) and $(in_place bindgen --version) now." \
		"Only the very same compiler can make the same metadata again."
	root=$final
	as_root mv -T "$final.new" "$final"
}

# --- Build -------------------------------------------------------------------

# Sets: build.  Everything that makes a difference is in the key.
find_build() {
	local key
	key=$(printf '%s\n' "$format" "$kernel" "$rustc_text" "$bindgen_text" "$root" "${modules[@]}" |
		sha256sum | head -c 12)
	build=$cache/kernel/$source_id-$config-$key
}

is_complete() { [[ -f $build/.complete ]]; }

kernel_make() { in_place make -j"$jobs" -C "$source" O="$build" "${make_args[@]}" "$@"; }

# Kconfig looks at the tools: with others it would come to other answers.
configure() {
	local without='^CONFIG_CC_VERSION_TEXT='
	cp "$packages/config" "$build/.config"
	: >"$build/klips.log"
	watched "$build/klips.log" read_make 0 0 kernel_make olddefconfig || build_status=$?
	((build_status == 0)) || return 0
	diff <(grep -v "$without" "$packages/config") <(grep -v "$without" "$build/.config") >&2 ||
		die "Kconfig changed the packaged configuration with these tools; the differences are above."
}

compile() {
	watched "$build/klips.log" read_make 200 "$(find "$build" -name '.*.cmd' | wc -l)" kernel_make modules_prepare ||
		build_status=$?
}

# What the rebuilt crates export must be what the packaged kernel exports, name by name: the
# names have the compiler and the types in them.
check_symbols() {
	local ours strange
	ours=$(sed -n 's/^EXPORT_SYMBOL_RUST_GPL(\(.*\));$/\1/p' "$build"/rust/exports_*_generated.h | sort)
	[[ $ours ]] || die "the rebuilt Rust crates export nothing; the log is $build/klips.log"
	strange=$(comm -23 <(printf '%s\n' "$ours") <(cut -f 2 "$build/Module.symvers" | sort))
	if [[ $strange ]]; then
		head -n 5 <<<"$strange" >&2
		die "$(wc -l <<<"$strange") of $(wc -l <<<"$ours") symbols of the rebuilt Rust crates are not in the packaged kernel."
	fi
	say "the rebuilt Rust crates export $(wc -l <<<"$ours") symbols, the packaged kernel has them all"
}

prepare() {
	local start=$SECONDS upstream
	is_complete && return
	lock "${build##*/}" "the $config kernel"
	is_complete && return
	need_space "$cache" 1000
	say "making the Rust metadata of Linux $kernel again, about three minutes on two processors"
	say "$rustc_text, $bindgen_text, in $build"
	mkdir -p "$build"
	upstream=$(<"$packages/version")
	printf '%s\n' "${kernel#"${upstream%%-*}"}" >"$build/localversion"
	configure_and_compile
	mkdir -p "$build/arch/x86/boot"
	cp "$packages"/{Module.symvers,vmlinux} "$build"
	cp "$packages/vmlinuz" "$build/arch/x86/boot/bzImage"
	cp -r "$packages/modules" "$build"
	mv "$build"/modules/modules.* "$build"
	check_symbols
	touch "$build/.complete"
	say "modules for Linux $kernel can be built after $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
}

# --- Commands ----------------------------------------------------------------

find_cached() {
	local advice="scripts/debian-kernel.sh build $config"
	find_packages || die "there is no Linux ${all_series[*]} of $suite in the cache yet." "$advice"
	find_source || die "the source of Linux $kernel is not in the cache yet." "$advice"
	find_tools
	find_build
	is_complete || die "building for Linux $kernel is not prepared yet." "$advice"
}

main() {
	local command=${1:-help}
	config=${2:-debian}
	choose_distribution
	choose_series
	case $command in
	build)
		get_packages
		find_source fetch
		find_tools
		[[ -z $root ]] || make_root
		find_build
		prepare
		printf '%s\n' "$build"
		;;
	path)
		find_cached
		printf '%s\n' "$build"
		;;
	make)
		find_cached
		in_place make --no-print-directory -j"$jobs" -C "$build" "${make_args[@]}" "${@:3}"
		;;
	fetch)
		lock debian-packages "Debian's kernel"
		fetch_packages
		;;
	help | -h | --help) usage ;;
	*) die "unknown command \"$command\" for Debian's kernel; see scripts/debian-kernel.sh help." ;;
	esac
}

main "$@"
