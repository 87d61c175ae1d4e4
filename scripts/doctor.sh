#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Looks at everything that building the module for a kernel and loading it take, a line for each:
# "ok", or "missing" and what to do, or "untried".  Exit status 0 only if nothing is missing.

set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source-path=SCRIPTDIR source=build-dir.sh
. "$scripts/build-dir.sh"

# What it is called where it is installed.
command=${KLIPS_DOCTOR:-scripts/doctor.sh}

usage() {
	cat <<USAGE
usage: $command [KDIR [ROOT]]

  KDIR  the build directory of a kernel; that of the running one if not given
  ROOT  where /etc, /proc and /sys of the computer are, if not there
USAGE
}

# --- Telling -------------------------------------------------------------------

missing=0

# want WHAT REMEDY COMMAND...: WHAT is there if the command succeeds.
want() {
	if "${@:3}" >/dev/null 2>&1; then
		printf 'ok       %s\n' "$1"
	else
		printf 'missing  %s: %s\n' "$1" "$2"
		missing=$((missing + 1))
	fi
}

# The distribution that this is, or is made from.
find_distribution() {
	local id
	distribution=''
	for id in $(sed -n 's/^ID\(_LIKE\)\?=//p' "$root/etc/os-release" 2>/dev/null | sort | tr -d '"'); do
		case $id in
		debian | ubuntu | fedora | arch)
			distribution=$id
			return
			;;
		esac
	done
}

# The packages to install, by distribution, this one's first.
packages() { # DEBIAN UBUNTU FEDORA ARCH
	local own='' others='' id
	for id in debian ubuntu fedora arch; do
		if [[ $id == "$distribution" ]]; then own="${id^}: $1; "; else others+="${id^}: $1; "; fi
		shift
	done
	others=$own$others
	printf 'install (%s)' "${others%; }"
}

# --- The kernel's build directory ------------------------------------------------

is_set() { [[ $(kernel_option "$kconfig" "$1") == y ]]; }
is_not_built_in() { ! is_set "$1"; }

# Of these options, those that are neither built in nor modules, as one line.
unavailable() { # OPTION...
	local option list=''
	for option in "$@"; do
		[[ $(kernel_option "$kconfig" "$option") == [ym] ]] || list+=" CONFIG_$option"
	done
	printf '%s' "${list# }"
}

want_options() { # WHAT REMEDY OPTION...
	local list
	list=$(unavailable "${@:3}")
	want "$1" "no $list; $2" test -z "$list"
}

# What of these files is not there, as one line.
absent() { # FILE...
	local file list=''
	for file in "$@"; do
		[[ -e $kdir/$file ]] || list+=" $file"
	done
	printf '%s' "${list# }"
}

want_files() { # WHAT REMEDY FILE...
	local list
	list=$(absent "${@:3}")
	want "$1" "no $list in $kdir; $2" test -z "$list"
}

# The first thing to know: a kernel that is too old can be given nothing that would help.
too_old_kernel() {
	local who='the kernel of that directory is' how newest=${known_series[-1]}
	how="$(packages "linux-image-amd64 of $suite" "no package has it" "kernel $newest" "linux $newest")"
	how+=" and boot it, or build one and give KDIR=DIR"
	[[ $kdir != "/lib/modules/$(uname -r)/build" ]] || who='you run'
	want "Linux ${known_series[0]} or newer" "$who $release; $too_old; $how" false
}

series_line() {
	if [[ -z $release ]]; then
		want "Linux ${known_series[0]} or newer, it is of unknown version" "give the directory of such a kernel" false
	elif [[ $(judge_release "$release") == new ]]; then
		printf 'untried  Linux %s: klips was made for %s; it may build, make tells\n' "$release" "$(known_kernels)"
	else
		printf 'ok       Linux %s\n' "$release"
	fi
}

configuration() {
	local option
	for option in MODULES NET INET XFRM; do
		want "CONFIG_$option" "use a kernel that is configured with CONFIG_$option=y" is_set $option
	done
	want "CONFIG_RUST" "use a kernel that is configured with CONFIG_RUST=y: $(packages \
		"linux-image of $suite" "linux-image-generic" "kernel" "linux") or build one" is_set RUST
	want "CONFIG_NET_KEY not built in" \
		"af_key has the protocol family for itself, use a kernel with CONFIG_NET_KEY=m or without" is_not_built_in NET_KEY
	want_options "xfrm_algo, which klips.ko needs" "use a kernel that has it, as all with IPsec do" XFRM_ALGO
	want_protocols 4 INET_ESP INET_AH INET_IPCOMP INET_XFRM_TUNNEL
	want_options "xfrm interfaces, which ipsec tncfg makes" "use a kernel that has them, built in or as a module" \
		XFRM_INTERFACE
	[[ -n $(unavailable IPV6) ]] || want_protocols 6 INET6_ESP INET6_AH INET6_IPCOMP INET6_XFRM_TUNNEL
}

want_protocols() { # VERSION OPTION...
	want_options "ESP, AH, IPComp and tunnels for IPv$1" "use a kernel that has them, built in or as modules" "${@:2}"
}

compilers() {
	local major release
	find_rust_compiler || true
	release=${rust_compiler#rustc }
	release=${release%% *}
	want "the kernel's ${rust_compiler:-rustc}" \
		"only the very same compiler can read what it wrote; $(packages \
			"rustc, in Debian 12 rustc-web" "rustc-${release%.*}" "rust" "rust") of release ${release:-that built the kernel}" \
		find_rust_compiler
	find_c_compiler || true
	major=${c_compiler#* }
	case $c_compiler in
	clang*)
		want "the kernel's $c_compiler" "$(packages "clang-$major, lld-$major, llvm-$major" \
			"clang-$major, lld-$major, llvm-$major" "clang, lld, llvm" "clang, lld, llvm")" find_c_compiler
		want "its linker" "$(packages "lld-$major" "lld-$major" "lld" "lld")" has_lld "$major"
		;;
	gcc*) want "the kernel's $c_compiler" "$(packages "gcc-$major" "gcc-$major" "gcc" "gcc")" find_c_compiler ;;
	esac
}

has_lld() { command -v "ld.lld-$1" || [[ $(ld.lld --version) == *"LLD $1."* ]]; }

files() {
	local headers whole crates
	headers=$(packages "linux-headers-$release" "linux-headers-$release" "kernel-devel-$release" "linux-headers")
	whole="$headers, or build that kernel"
	crates="for Debian's own kernels, make CONFIG=debian (debian-forky, debian-sid) module; else $(packages \
		"no package has them" "linux-lib-rust-$release" "kernel-devel-$release" "linux-headers"), or build that kernel"
	want_files "the kernel's generated headers" "$headers" include/config/auto.conf include/generated/autoconf.h \
		include/generated/rustc_cfg
	want_files "the kernel's tools for modules" "$whole" scripts/mod/modpost scripts/module.lds scripts/target.json
	[[ $(kernel_option "$kconfig" OBJTOOL) != y ]] || want_files "objtool" "$whole" tools/objtool/objtool
	want_files "the kernel's symbols" "$whole" Module.symvers
	want_files "the metadata of the kernel's Rust crates" "$crates" \
		rust/lib{core,compiler_builtins,ffi,build_error,bindings,uapi,pin_init,zerocopy,kernel}.rmeta \
		rust/lib{macros,pin_init_internal,zerocopy_derive}.so
}

# --- This computer ---------------------------------------------------------------

tools() {
	want "make" "$(packages make make make make)" command -v make
	want "cargo $min_rust or newer, for the tools" "$(packages "cargo, in Debian 12 cargo-web" cargo cargo rust)" has_cargo
	want "a linker for the tools" "$(packages "gcc, libc6-dev" "gcc, libc6-dev" gcc gcc)" command -v cc
}

has_cargo() { (use_cargo); }
has_no_module() { ! grep -q "^$1 " "$root/proc/modules"; }
needs_no_signature() { [[ $(cat "$root/sys/module/module/parameters/sig_enforce" 2>/dev/null) != Y ]]; }
is_not_locked_down() { ! grep -q '\[\(integrity\|confidentiality\)\]' "$root/sys/kernel/security/lockdown" 2>/dev/null; }

loading() {
	local sign='unsigned, klips.ko gets "Key was rejected by service": sign it with a key that the firmware knows'
	sign+=" (DKMS does; mokutil --import /var/lib/dkms/mok.pub has the firmware know its key)"
	want "af_key is not loaded" "it has the protocol family, rmmod af_key and keep it out (scripts/install/modprobe.conf)" \
		has_no_module af_key
	want "modules need no signature" "$sign; without Secure Boot, keys of mokutil are passed over and those in its db count" \
		needs_no_signature
	want "the kernel is not locked down" "$sign, or turn Secure Boot off" is_not_locked_down
}

main() {
	case ${1:-} in
	help | -h | --help)
		usage
		return
		;;
	esac
	kdir=${1:-/lib/modules/$(uname -r)/build} root=${2:-}
	find_distribution
	release=$(cat "$kdir/include/config/kernel.release" 2>/dev/null) || true
	[[ $release || ${1:-} ]] || release=$(uname -r)
	if [[ $release && $(judge_release "$release") == old ]]; then
		too_old_kernel
	elif find_configuration "$kdir"; then
		series_line
		printf 'ok       a kernel was configured in %s\n' "$kdir"
		configuration
		compilers
		files
	else
		release=${release:-$(uname -r)}
		want "a kernel's configuration in $kdir" "give KDIR=DIR, or $(packages "linux-headers-$release" \
			"linux-headers-$release" "kernel-devel-$release" linux-headers)" false
	fi
	tools
	loading
	if ((missing)); then
		die "$missing missing."
	fi
}

main "$@"
