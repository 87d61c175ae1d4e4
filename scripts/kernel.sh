#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the Linux kernels the tests run on, once, into a cache.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=archive.sh
. "$scripts/archive.sh"
# shellcheck source-path=SCRIPTDIR source=build-dir.sh
. "$scripts/build-dir.sh"
# shellcheck source-path=SCRIPTDIR source=resume.sh
. "$scripts/resume.sh"

usage() {
	cat <<USAGE
usage: scripts/kernel.sh COMMAND [--config NAME] [-- ARGUMENT...]

  build       build the kernel unless it is in the cache; prints its build directory
  prepare     build only what modules are compiled with, which takes a quarter of that
  path        print the build directory of a kernel that is in the cache, else fail
  configure   generate and check the .config only; prints its path
  make        run make with the kernel's own tools in its build directory, for example
              scripts/kernel.sh make -- M=DIR MO=DIR modules
  source      print the directory of the kernel source, fetched if need be
  fetch       get the newest source of that series, even if an older one is in the cache
  list        show what the cache holds
  clean       remove kernels from the cache (with --config, those of that name)
  distclean   remove the whole cache: kernels, sources, tools

  --config NAME  add scripts/kernel-NAME.config to scripts/kernel.config;
                 or debian, debian-cloud, debian-rt (Debian 13), debian-forky, debian-sid:
                 a kernel that Debian built, for which scripts/debian-kernel.sh has its own build, path, make and fetch

environment:
  ARCH            x86_64, or arm64, for which it is built with the same LLVM; x86_64 if not set
  SERIES          which Linux: $(known_kernels); $series if not set
  KERNEL_SRC      a Linux tree to use instead of Debian's source; it is not written to.  One that is newer
                  than these is tried.
  SUITE           where in Debian its source is; $suite if not set
  KDIR            for "make": the build directory of some other kernel
  XDG_CACHE_HOME  the cache is \$XDG_CACHE_HOME/klips, or ~/.cache/klips
  JOBS            parallel jobs, one per processor if not set

Results go to stdout, everything else to stderr.
USAGE
}

# Part of every key: raise it when this script starts to build kernels differently.
readonly format=1
package=linux-source-$series

config=main

# --- Tools -------------------------------------------------------------------

# Sets: make_args, and what identifies the tools in a key.
find_tools() {
	local advice="scripts/deps.sh installs it." tool library_source bindgen
	for tool in "clang-$llvm" "ld.lld-$llvm" "llvm-ar-$llvm" "llvm-nm-$llvm" "llvm-objcopy-$llvm" \
		make flex bison bc xz; do
		command -v "$tool" >/dev/null || die "$tool is missing." "$advice"
	done
	is_at_least "$rustc" $min_rust ||
		die "there is no $rustc (the distribution's Rust compiler) of version $min_rust or newer." "$advice"
	library_source=$(rust_sources) || die "the library sources of $rustc are missing." "$advice"
	bindgen=$(find_bindgen) || die "there is no bindgen $min_bindgen or newer." "$advice"

	clang_text=$("clang-$llvm" --version | head -n 1)
	rustc_text=$("$rustc" --version)
	bindgen_version=$(version_of "$bindgen")
	make_args=("LLVM=-$llvm" "RUSTC=$rustc" "RUST_LIB_SRC=$library_source" "BINDGEN=$bindgen"
		"CLIPPY_DRIVER=$clippy_driver" "RUSTFMT=$rustfmt")
	[[ $arch == x86_64 ]] || make_args+=("ARCH=$arch")
}

# make with these tools and none of the caller's settings: the kernel's makefiles obey many
# environment variables.  bindgen must parse with the libclang of the clang that compiles.
kmake() {
	env -i PATH="$PATH" HOME="$HOME" TMPDIR="${TMPDIR:-/tmp}" LC_ALL=C \
		LIBCLANG_PATH="/usr/lib/llvm-$llvm/lib" make "${make_args[@]}" "$@"
}

# --- Source ------------------------------------------------------------------

unpack_source() { # FILE DIR
	dpkg-deb --fsys-tarfile "$1" | tar -x --to-stdout "./usr/src/$package.tar.xz" |
		tar -xJ -C "$2" --strip-components=1 --checkpoint=1000 --checkpoint-action=echo=%u
}

# Downloads and unpacks the newest source package.
fetch_source() {
	local advice="Or set KERNEL_SRC to the directory of an unpacked Linux."
	local work file version dir status=0
	mkdir -p "$sources"
	need_space "$cache" $source_space
	# What interrupted runs left; the lock is ours.
	rm -rf "$sources"/.new.*
	work=$(mktemp -d "$sources/.new.XXXXXX")
	# shellcheck disable=SC2064 # its value now
	trap "rm -rf '$work'" EXIT
	mkdir "$work/tree"

	open_archive "$work" "$advice"
	say "fetching $package from $suite"
	read_suite
	download "$package"
	file=$(find "$work/archives" -maxdepth 1 -name "${package}_*.deb")
	version=$(dpkg-deb -f "$file" Version)
	[[ $version == "$series".* ]] || die "$package is version $version, not $series.x." "$advice"
	dir=$sources/linux-${version//[^A-Za-z0-9.-]/-}
	if [[ -d $dir ]]; then
		say "Linux $version is in the cache already"
	else
		say "unpacking Linux $version"
		watched "$work/log" read_tar 0 0 unpack_source "$file" "$work/tree" || status=$?
		((status != disk_is_full)) || die_of_full_disk "$cache"
		if ((status != 0)); then
			grep -v '^tar: [0-9]*$' "$work/log" | tail -n 15 >&2
			die "$package could not be unpacked." "$advice"
		fi
		chmod 755 "$work/tree"
		mv -T "$work/tree" "$dir"
	fi
	rm -rf "$work"
	trap - EXIT
}

newest_source() {
	local dirs=("$sources"/linux-"$series".*)
	[[ -d ${dirs[0]} ]] && printf '%s\n' "${dirs[@]}" | sort -V | tail -n 1
}

use_own_source() {
	local version
	source=$(realpath -e -- "$KERNEL_SRC" 2>/dev/null) || die "KERNEL_SRC: $KERNEL_SRC does not exist."
	[[ -f $source/Makefile && -f $source/rust/Makefile ]] || die "KERNEL_SRC: $source is not a Linux source tree."
	version=$(awk '/^(VERSION|PATCHLEVEL|SUBLEVEL) =/ { printf sep $3; sep = "." }' "$source/Makefile")
	[[ ! ${SERIES:-} || $version == "$series".* ]] ||
		die "KERNEL_SRC: $source is Linux $version, and SERIES says $series."
	case $(judge_release "$version") in
	old) die "KERNEL_SRC: $source is Linux $version: $too_old." ;;
	new)
		untried=yes
		say "warning: $source is Linux $version: klips was made for $(known_kernels), newer ones are tried"
		;;
	esac
	series=${version%.*}
	# The kernel's own test of whether a tree can be built from elsewhere.
	if [[ -f $source/.config || -d $source/include/config || -d $source/${kernel_image%/boot/*}/include/generated ]]; then
		die "KERNEL_SRC: $source was configured or built in place; Linux then refuses to build from it elsewhere." \
			"Clean it yourself (make -C $source mrproper, which removes its .config), or use another tree."
	fi
	source_id=$version-$(printf '%s' "$source" | sha256sum | head -c 8)
}

# Sets: source, source_id.  Fails if there is none and it may not fetch.
find_source() { # [fetch]
	if [[ ${KERNEL_SRC:-} ]]; then
		use_own_source
		return
	fi
	if ! newest_source >/dev/null; then
		[[ ${1:-} == fetch ]] || return 1
		lock source "the kernel source"
		newest_source >/dev/null || fetch_source
		unlock
	fi
	source=$(newest_source)
	source_id=${source##*/linux-}
}

# --- Configuration -----------------------------------------------------------

fragment_files() {
	printf '%s\n' "$scripts/kernel.config"
	[[ $config == main ]] || printf '%s\n' "$scripts/kernel-$config.config"
}

# The fragments as one list, each symbol once, the last word counting.
fragment() {
	local files
	mapfile -t files < <(fragment_files)
	awk -v "series=$series" -v "arch=$arch" '
		{ name = "" }
		match($0, /^[a-z0-9_.]+: /) {
			only = substr($0, 1, RLENGTH - 2)
			if (only != series && only != arch) next
			$0 = substr($0, RLENGTH + 1)
		}
		/^CONFIG_[A-Za-z0-9_]+=/ { name = substr($0, 1, index($0, "=") - 1) }
		/^# CONFIG_[A-Za-z0-9_]+ is not set$/ { name = $2 }
		!name { next }
		!(name in line) { order[++n] = name }
		{ line[name] = $0 }
		END { for (i = 1; i <= n; i++) print line[order[i]] }' "${files[@]}"
}

# Sets: build.  Everything that makes a difference to the kernel is in the key.
find_build() {
	local key name=$config
	[[ $arch == x86_64 ]] || name=$arch-$config
	key=$({
		printf '%s\n' "$format $source_id $clang_text"
		"$rustc" -vV
		printf '%s\n' "$bindgen_version"
		fragment
	} | sha256sum | head -c 12)
	build=$cache/kernel/$source_id-$name-$key
}

is_of_today() { # STAMP
	[[ -f $1 ]] || return 1
	# A tree of one's own may have changed since.
	[[ -z ${KERNEL_SRC:-} ]] || [[ -z $(find "$source" -name .git -prune -o -newer "$1" -print -quit) ]]
}

is_complete() { is_of_today "$build/.complete"; }
is_prepared() { is_complete || is_of_today "$build/.prepared"; }

configure() {
	local wrong
	mkdir -p "$build"
	fragment >"$build/klips.fragment"
	: >"$build/klips.log"
	watched "$build/klips.log" read_make 0 0 \
		kmake -C "$source" O="$build" KCONFIG_ALLCONFIG="$build/klips.fragment" allnoconfig ||
		build_status=$?
	((build_status == 0)) || return 0
	wrong=$(awk '
		{ name = "" }
		/^CONFIG_[A-Za-z0-9_]+=/ { i = index($0, "="); name = substr($0, 1, i - 1); value = substr($0, i + 1) }
		/^# CONFIG_[A-Za-z0-9_]+ is not set$/ { name = $2; value = "n" }
		!name { next }
		NR == FNR { got[name] = value; next }
		{ is = (name in got) ? got[name] : "n" }
		is != value { print "  " name " is " is ", wanted " value }' "$build/.config" "$build/klips.fragment")
	[[ $wrong ]] || return 0
	printf '%s\n' "$wrong" >&2
	# Kconfig drops Rust without a word; this says which tool it did not like.
	[[ $wrong != *CONFIG_RUST\ * ]] || kmake -C "$source" O="$build" rustavailable >&2 || true
	if [[ ${untried:-} && $wrong != *CONFIG_RUST\ * ]]; then
		say "warning: Kconfig did not accept these symbols of the $config configuration; going on without"
		return
	fi
	die "Kconfig did not accept these symbols of the $config configuration."
}

# --- Build -------------------------------------------------------------------

# estimate FIELD: each fragment says in its head what building it takes.
estimate() {
	local value
	value=$(fragment_files | tail -n 1 | xargs -d '\n' sed -n "s/^# Build: .*\b\([0-9]\+\) $1.*/\1/p")
	printf '%s\n' "${value:-$2}"
}

# How many of the steps that make will tell of have been done: each leaves files like this one,
# five of them for four steps.
steps_done() { echo $(($(find "$build" -name '.*.cmd' | wc -l) * 4 / 5)); }

compile() {
	watched "$build/klips.log" read_make "$steps" "$(steps_done)" \
		kmake -C "$source" O="$build" -j"$jobs" "${targets[@]}" || build_status=$?
}

# The build directory's path is in many generated files, so it cannot be built aside and
# renamed.  Instead one process at a time builds, and the stamp comes last.
build_kernel() {
	local start=$SECONDS file targets=("${kernel_image##*/}" modules) steps
	is_complete && return
	lock "${build##*/}" "the $config kernel"
	is_complete && return
	steps=$(estimate steps 1800)
	begin_build "building the $config kernel, about $(estimate minutes 10) minutes on two processors"
	configure_and_compile
	for file in vmlinux "$kernel_image" Module.symvers scripts/module.lds rust/libkernel.rmeta; do
		[[ -e $build/$file ]] || die "the build made no $file; the log is $build/klips.log"
	done
	printf '%s\n' "$source" >"$build/.complete.new"
	mv "$build/.complete.new" "$build/.complete"
	say "the $config kernel is ready after $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
}

# Headers, tools and Rust crates; no Module.symvers, so nothing can be linked with it.
prepare_kernel() {
	local start=$SECONDS targets=(modules_prepare) steps=200
	is_prepared && return
	lock "${build##*/}" "the $config kernel"
	is_prepared && return
	begin_build "preparing to compile for the $config kernel, about 3 minutes on two processors"
	configure_and_compile
	[[ -e $build/rust/libkernel.rmeta ]] || die "the build made no rust/libkernel.rmeta; the log is $build/klips.log"
	touch "$build/.prepared"
	say "modules can be compiled after $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s"
}

begin_build() { # WHAT
	local resumed=''
	mkdir -p "$build"
	need_space "$cache" $build_space
	rm -f "$build/.complete" "$build/.prepared"
	! is_resumed || resumed=", resuming"
	say "$1$resumed"
	say "Linux ${source_id%%-*}, $clang_text, ${rustc_text%% (*}, bindgen $bindgen_version"
	say "in $build"
}

# --- Some other kernel -------------------------------------------------------

# Sets: make_args, for the compilers the kernel in KDIR was built with.
find_foreign_tools() {
	local file release advice="scripts/doctor.sh $KDIR names the packages."
	[[ -d $KDIR ]] || die "KDIR: $KDIR does not exist." "For an installed kernel, install its headers (linux-headers-...)."
	find_configuration "$KDIR" || die "KDIR: $KDIR is no kernel build directory, it has no .config."
	release=$(cat "$KDIR/include/config/kernel.release" 2>/dev/null) || true
	case $(judge_release "$release") in
	old) [[ -z $release ]] || die "KDIR: $KDIR is of Linux $release: $too_old." ;;
	new) say "warning: $KDIR is of Linux $release: klips was made for $(known_kernels), newer ones are tried" ;;
	esac
	[[ $(kernel_option "$kconfig" MODULES) == y ]] || die "KDIR: that kernel has no loadable modules (CONFIG_MODULES)."
	[[ $(kernel_option "$kconfig" RUST) == y ]] || die "KDIR: that kernel was built without Rust (CONFIG_RUST), it cannot load klips."
	for file in Module.symvers rust/libkernel.rmeta; do
		[[ -e $KDIR/$file ]] || die "KDIR: $KDIR has no $file, which modules in Rust need." \
			"Debian's linux-headers packages leave it out: for Debian's own kernels, use make CONFIG=debian (debian-forky, debian-sid) module." \
			"A tree of your own must be built, not only prepared."
	done

	find_c_compiler || die "KDIR: that kernel was built with $c_compiler, which is not here." "$advice"
	find_rust_compiler || die "KDIR: that kernel was built with $rust_compiler, which is not here." "$advice"
	make_args=("${c_compiler_args[@]}" "RUSTC=$rust_compiler_path"
		"CLIPPY_DRIVER=${rust_compiler_path%/*}/clippy-driver")
}

# --- Commands ----------------------------------------------------------------

# Leaves find_source's failure to set -e, which "&&" and "||" would take away.
is_cached() {
	find_source || return 1
	find_build
	is_complete
}

run_make() {
	if [[ ${KDIR:-} ]]; then
		find_foreign_tools
		build=$(realpath -- "$KDIR")
	else
		find_tools
		is_cached || is_prepared || die "the $config kernel is not built yet." "scripts/kernel.sh build --config $config"
	fi
	if [[ " $* " == *" CLIPPY=1 "* && ${make_args[*]} == *"CLIPPY_DRIVER=$clippy_driver"* ]]; then
		[[ -x $clippy_driver ]] || die "$clippy_driver is missing." "scripts/deps.sh lint installs it."
	fi
	kmake --no-print-directory -C "$build" -j"$jobs" "$@"
}

list() {
	local dir state current=
	if newest_source >/dev/null && find_tools 2>/dev/null; then
		find_source && find_build && current=$build
	fi
	for dir in "$cache"/src/{,*/}linux-* "$cache"/tools/* "$cache"/debian/* "$cache"/kernel/*; do
		[[ -d $dir ]] || continue
		state=
		[[ $dir != "$cache/kernel/"* || -f $dir/.complete ]] || state='  (not complete)'
		[[ $dir != "$current" ]] || state+='  (current)'
		printf '%6s  %s%s\n' "$(du -sh "$dir" 2>/dev/null | cut -f 1)" "$dir" "$state"
	done
}

clean() { # [CONFIG]
	local dir
	# shellcheck disable=SC2231 # the name may be a pattern
	for dir in "$cache"/kernel/*-${1:-*}-????????????; do
		[[ -d $dir ]] || continue
		(
			lock "${dir##*/}" "${dir##*/}"
			say "removing $dir"
			rm -rf "$dir"
		)
	done
}

main() {
	local command=${1:-help} chosen='' arguments=()
	(($# == 0)) || shift
	while (($#)); do
		case $1 in
		--config)
			(($# > 1)) || die "--config needs a name."
			chosen=$2
			shift
			;;
		--config=*) chosen=${1#*=} ;;
		--)
			shift
			arguments=("$@")
			break
			;;
		*) die "unknown argument \"$1\"; see scripts/kernel.sh help." ;;
		esac
		shift
	done
	config=${chosen:-main}
	if [[ $config == debian* && $command != clean ]]; then
		[[ $arch == x86_64 ]] || die "of Debian's own kernels, only those for x86_64 are tested, not for $arch."
		exec "$scripts/debian-kernel.sh" "$command" "$config" "${arguments[@]}"
	fi
	[[ $config == main || $command == clean || -f $scripts/kernel-$config.config ]] ||
		die "there is no configuration \"$config\": no scripts/kernel-$config.config."

	case $command in
	build)
		find_tools
		find_source fetch
		find_build
		build_kernel
		printf '%s\n' "$build"
		;;
	prepare)
		find_tools
		find_source fetch
		find_build
		prepare_kernel
		printf '%s\n' "$build"
		;;
	path)
		find_tools
		is_cached || die "the $config kernel is not built yet." "scripts/kernel.sh build --config $config"
		printf '%s\n' "$build"
		;;
	configure)
		find_tools
		find_source fetch
		find_build
		lock "${build##*/}" "the $config kernel"
		build_status=0
		configure
		((build_status == 0)) || build_failed $build_status
		printf '%s\n' "$build/.config"
		;;
	make) run_make "${arguments[@]}" ;;
	source)
		find_source fetch
		printf '%s\n' "$source"
		;;
	fetch)
		lock source "the kernel source"
		fetch_source
		newest_source
		;;
	list) list ;;
	clean) clean "$chosen" ;;
	distclean)
		say "removing $cache: kernels, sources, tools"
		[[ ! -e $cache/debian ]] || as_root rm -rf "$cache/debian"
		rm -rf "$cache"
		;;
	help | -h | --help) usage ;;
	*) die "unknown command \"$command\"; see scripts/kernel.sh help." ;;
	esac
}

main "$@"
